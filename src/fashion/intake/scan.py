"""Every picture of a source, decoded once by all workers: what the model will see, and what was found on the way."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

import numpy as np

from fashion.adapters.decoding import claimed_size, read_picture, readable_name
from fashion.adapters.shards import in_parts
from fashion.arrays import Bytes, Shape
from fashion.errors import DataError
from fashion.images.parts import sample
from fashion.images.photos import Form, see
from fashion.intake.form import Sampled, choose_form, is_transparent, sample_picture
from fashion.intake.sources import Item, Source, reason_of
from fashion.paths import Project
from fashion.stages.formats.maps import map_bytes, unnamed_file
from fashion.stages.pictures import on_all_workers

SAMPLED = 100
"""Pictures that decide about the form, spread over all."""
COLOUR, GREY = 3, 1
"""Channels."""
COLOURLESS = 8
"""The most that red, green and blue may differ in a grey picture that is kept in colour: JPEG changes them a little."""

Progress = Callable[[int, int], None]
Size = tuple[int, int]
Unread = tuple[str, bytes | str]
"""The name of a picture and its content, or why there is none."""


@dataclass(frozen=True)
class Looked:
    """What is known of one picture that can be used."""

    shape: tuple[int, int]
    """Height and width, upright, before it is reduced."""
    transparent: bool
    grey: bool
    digest: bytes
    """Of the file."""


@dataclass(frozen=True)
class Scanned:
    """All pictures that can be used."""

    form: Form
    items: tuple[Item, ...]
    looked: tuple[Looked, ...]
    images: Bytes
    """(n, height, width, channels), a mapped file."""
    refused: dict[str, str]
    """Pictures that cannot be used, by name, and why."""


def scan(project: Project, source: Source, known: Form | None, size: Size | None, progress: Progress) -> Scanned:
    """Decode all pictures of a source.

    Args:
        known: the form that images of this dataset have so far: it stays, so that versions can be compared.
        size: height and width of the images, if they are not to be chosen from the pictures.
        progress: is told how many pictures were looked at, of how many.

    Raises:
        DataError: none can be used; the message says why, for the first.
    """
    refused = {name: one.reason for name, one in source.refused.items()}
    form = known or choose_form(_sample(source, refused), size)
    if known and size:
        form = replace(known, size=size)
    # Whether all are grey is known at the end, and the stages reduce to grey first, then in size.
    forms = (form,) if known else (form, _with_channels(form, GREY))
    looked: list[Looked] = []
    items: list[Item] = []
    done = 0
    with unnamed_file(project.state) as file:
        parts = _parts(source, math.prod(_shape(forms)))
        for images, found in on_all_workers(partial(_look, forms=forms), parts):
            file.write(images.data)
            for item, one in zip(source.items[done : done + len(found)], found, strict=True):
                if isinstance(one, str):
                    refused[readable_name(item.name)] = one
                else:
                    items.append(item)
                    looked.append(one)
            done += len(found)
            progress(done, len(source.items))
        images = map_bytes(file, (len(items), *_shape(forms)))
    if not items:
        raise DataError(_none_usable(refused))
    if not known:
        is_grey = all(one.grey for one in looked)
        form = forms[is_grey]
        images = images[..., COLOUR:] if is_grey else images[..., :COLOUR]
    return Scanned(form, tuple(items), tuple(looked), images, refused)


def _with_channels(form: Form, channels: int) -> Form:
    return replace(form, pictures=form.pictures.model_copy(update={"channels": channels, "isolate": False}))


def _shape(forms: Sequence[Form]) -> Shape:
    """Return the shape of the images of a picture in several forms of one size, channels behind channels."""
    return (*forms[0].size, sum(form.pictures.channels for form in forms))


def _none_usable(refused: dict[str, str]) -> str:
    name, reason = next(iter(refused.items()))
    return f"None of {len(refused):,} pictures can be used. The first: {name}: {reason}"


def _sample(source: Source, refused: dict[str, str]) -> list[Sampled]:
    chosen = [source.items[place] for place in sample(len(source.items), SAMPLED)]
    samples = []
    for item, content in zip(chosen, source.read(chosen), strict=True):
        try:
            if isinstance(content, DataError):
                raise content
            width, height = claimed_size(io.BytesIO(content), item.name)
            pixels = read_picture(io.BytesIO(content), item.name).pixels
            samples.append(sample_picture(pixels, max(width, height)))
        except DataError as error:
            refused[readable_name(item.name)] = reason_of(error, item.name)
    if not samples:
        raise DataError(_none_usable(refused))
    return samples


def _parts(source: Source, image_bytes: int) -> Iterator[list[Unread]]:
    """Yield as many pictures at a time as may be in memory with their images, which may be larger than the files."""
    contents = source.read(source.items)  # Of all at once: then a file that holds many is read from start to end.
    unread = (
        (item.name, reason_of(content, item.name) if isinstance(content, DataError) else content)
        for item, content in zip(source.items, contents, strict=True)
    )
    return in_parts(unread, lambda one: len(one[1]) + image_bytes)


def _look(part: list[Unread], forms: Sequence[Form]) -> tuple[Bytes, list[Looked | str]]:
    """Return the images of the pictures that can be used, and for each picture what it is like, or why it cannot.

    The images are (n, height, width, channels of all forms).
    """
    images: list[Bytes] = []
    found: list[Looked | str] = []
    for name, content in part:
        if isinstance(content, str):
            found.append(content)
            continue
        try:
            image, looked = _look_at(content, name, forms)
        except DataError as error:
            found.append(reason_of(error, name))
        else:
            images.append(image)
            found.append(looked)
    return np.array(images, np.uint8).reshape(-1, *_shape(forms)), found


def _look_at(content: bytes, name: str, forms: Sequence[Form]) -> tuple[Bytes, Looked]:
    pixels = read_picture(io.BytesIO(content), name, max(forms[0].size)).pixels
    width, height = claimed_size(io.BytesIO(content), name)
    images = [see(pixels, form).image for form in forms]
    # In the size of an image, where what JPEG has changed is averaged.
    colours = images[0] if images[0].shape[2] == COLOUR else see(pixels, _with_channels(forms[0], COLOUR)).image
    looked = Looked(
        _upright((height, width), pixels),
        is_transparent(pixels),
        bool(np.ptp(colours, axis=2).max() <= COLOURLESS),
        digest_of(content),
    )
    return np.concatenate(images, axis=2), looked


def _upright(shape: tuple[int, int], pixels: Bytes) -> tuple[int, int]:
    """Return height and width in a file as they are shown: a camera's picture may lie on its side in it."""
    lies = (shape[0] - shape[1]) * (pixels.shape[0] - pixels.shape[1]) < 0
    return shape[::-1] if lies else shape


def digest_of(content: bytes) -> bytes:
    """Return what tells whether a file is still the same."""
    return blake2b(content, digest_size=8).digest()
