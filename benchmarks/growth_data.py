"""Projects with drawn pictures in any number, for `benchmarks.growth`."""

import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.projects import copy_project, read_params
from fashion.adapters.shards import Row, write_shards
from fashion.images.descriptors import WATCHED_IN_COLOUR
from fashion.images.synthetic import draw
from fashion.model.suited import suited_recipe
from fashion.params.pipeline import IDX_FILES
from fashion.paths import Project
from fashion.storage import file_digest

AT_ONCE = 500
"""Pictures that are drawn together, so that a dataset is not in memory as a whole."""
FOR_TESTING = 1 / 7
"""Of all pictures, as in Fashion-MNIST."""


@dataclass(frozen=True)
class Kind:
    """A kind of picture: the side in pixels, the channels, and the format of its files."""

    side: int
    channels: int
    format: str

    @property
    def drawn_side(self) -> int:
        """In pixels: large pictures are drawn small and enlarged, which is ten times as fast."""
        return min(self.side, 64)


def make_project(folder: Path, kind: Kind, count: int) -> Project:
    """Make a project with that many pictures in shards, whose parameters and expectations fit them.

    The recipe is what an import would derive for them, with one epoch.
    """
    project = copy_project(folder)
    params = read_params(folder)
    classes = params["data"]["classes"]
    counts = {"test": round(count * FOR_TESTING)}
    counts["train"] = count - counts["test"]
    project.data.mkdir(exist_ok=True)
    shards = []
    for number, (split, each) in enumerate(counts.items()):
        rows = (Row(content, label, split=split) for content, label in _draw_all(kind, each, len(classes), number))
        shards += write_shards(project.data, split, rows, classes)
    for name in IDX_FILES:
        del params["data"][name]
    params["data"] |= {
        "image_size": [kind.side, kind.side],
        "pictures": {"channels": kind.channels, "isolate": False, "fit": "crop", "ground": 0},
        "shards": [{"name": path.name, "sha256": file_digest(path)} for path in shards],
    }
    recipe = suited_recipe([counts["train"] // len(classes)] * len(classes), (kind.side, kind.side, kind.channels))
    params["train"]["recipes"][params["train"]["recipe"]] = recipe.model_dump(exclude_none=True) | {"epochs": 1}
    project.params.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name in ("images", "train", "test"):
        _fit_suite(project.expectations / f"{name}.json", kind, counts.get(name))
    return project


def _draw_all(kind: Kind, count: int, classes: int, number: int) -> Iterator[tuple[bytes, int]]:
    starts = range(0, count, AT_ONCE)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        sizes = [min(AT_ONCE, count - start) for start in starts]
        seeds = [number * 1_000_000 + start for start in starts]
        for drawn in pool.map(_draw, repeat(kind), sizes, repeat(classes), seeds):
            yield from drawn


def _draw(kind: Kind, count: int, classes: int, seed: int) -> list[tuple[bytes, int]]:
    """Return files with pictures, and their labels."""
    images, labels = draw(count, classes, (kind.drawn_side,) * 2, seed, kind.channels)
    return [(_encode(image, kind), int(label)) for image, label in zip(images, labels, strict=True)]


def _encode(image: np.ndarray[Any, Any], kind: Kind) -> bytes:
    picture = Image.fromarray(image.squeeze())
    if picture.width != kind.side:
        picture = picture.resize((kind.side, kind.side), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, kind.format)
    return stream.getvalue()


def _fit_suite(path: Path, kind: Kind, count: int | None) -> None:
    """Let a suite expect these pictures; it expects nothing of their shades, which are not those of Fashion-MNIST."""
    suite = json.loads(path.read_text(encoding="utf-8"))
    kept = list(_fit(suite["expectations"], kind, count))
    path.write_text(json.dumps(suite | {"expectations": kept}), encoding="utf-8")


def _fit(expectations: list[dict[str, Any]], kind: Kind, count: int | None) -> Iterator[dict[str, Any]]:
    for expectation in expectations:
        arguments = expectation["kwargs"]
        if expectation["type"] == "expect_table_row_count_to_equal":
            arguments["value"] = count
        if "column_list" in arguments and kind.channels == 3:
            place = arguments["column_list"].index("content_hash") + 1
            arguments["column_list"][place:place] = WATCHED_IN_COLOUR
        if "value_set" in arguments and arguments["column"] in {"height", "width"}:
            arguments["value_set"] = [kind.side]
        about_shades = {"mean", "standard_deviation", "minimum", "maximum", "ink_fraction"}
        if "type_" in arguments or arguments.get("column") not in about_shades:
            yield expectation
