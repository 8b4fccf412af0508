"""The pictures of `benchmarks.batch`: images of the test set, as files of several kinds, as many as wanted."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fashion.arrays import Bytes
from fashion.images.encoding import encode_png
from fashion.images.grey import without_channel
from fashion.images.idx import write_images
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.raw import read_raw

PHOTO_EDGES = (800, 600)
"""Width and height of a photograph in pixels."""
LINKS = 10_000
"""Names of files in one folder."""


def repeat_images(project: Project, folder: Path, count: int) -> Bytes:
    """Return images of the test set, repeated, as the mapped file images.npy."""
    test = read_raw(project, load_params(project.params).data)["test"].images
    np.save(folder / "images.npy", test[np.arange(count) % len(test)])
    images: Bytes = np.load(folder / "images.npy", mmap_mode="r")
    return images


def write_plain_idx(path: Path, images: Bytes) -> Path:
    path.write_bytes(gzip.decompress(write_images(np.asarray(images))))
    return path


def write_files(folder: Path, images: Bytes, count: int, write: Callable[[Path, Bytes], None]) -> Path:
    """Write pictures, some thousand names a folder; those that repeat are the same file under another name."""
    first: list[Path] = []
    for number in range(count):
        path = folder / f"{number // LINKS:03d}" / f"{number:07d}{'.png' if write is write_png else '.jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < len(images):
            write(path, np.asarray(images[number]))
            first.append(path)
        else:
            os.link(first[number % len(first)], path)
    return folder


def write_png(path: Path, image: Bytes) -> None:
    path.write_bytes(encode_png(image))


def write_photo(path: Path, image: Bytes) -> None:
    """Write the object dark on a light wall with some noise, like a photograph."""
    picture = Image.fromarray(240 - (without_channel(image) // 2).astype(np.uint8)).convert("RGB").resize(PHOTO_EDGES)
    pixels = np.asarray(picture)
    noise = np.random.default_rng(0).normal(0, 2, pixels.shape)
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=85)
