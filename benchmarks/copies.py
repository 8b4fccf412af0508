"""How often pictures that are taken for near copies are: pairs drawn at random that a person has looked at.

Run with `python -m benchmarks.copies FOLDER`, where FOLDER holds `train/` and `test/` with a folder for each class;
Fashion-MNIST is read from this project's data. It takes a minute. copies_seen.json says what the person saw. If other
pairs are found than those, look at the sheets that it draws into the folder given with `--sheets`, and write into that
file what you see.
"""

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import shift
from threadpoolctl import threadpool_limits

from benchmarks.results import ROOT, paragraphs, save, table
from fashion.arrays import Bytes, LabelledImages
from fashion.images.assignment import group_copies
from fashion.images.near_copies import prepare_search
from fashion.images.parts import Parts
from fashion.images.photos import Form, see
from fashion.params import PicturesParams, load_params
from fashion.paths import Project
from fashion.stages.raw import read_raw

SEEN = Path(__file__).with_name("copies_seen.json")
FORM = Form((64, 64), PicturesParams(channels=3, isolate=False, fit="pad", ground=255))
LOOKED_AT, SEED = 100, 0
EDGE, BESIDE, GAP = 96, 6, 20
"""Of a picture on a sheet, in pixels."""
BICUBIC = Image.Resampling.BICUBIC
DUPLICATES = ("same", "skin tone", "details")
"""What the person said of near copies; of the other pairs "other", or "cannot tell"."""
ALTERED = 300
"""Pictures that are altered, to see whether the copy is found."""

Pair = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheets", type=Path, help="where to draw the pairs that are to be looked at")
    given = parser.parse_args()
    with threadpool_limits(1):
        found = {"emoji": _measure("emoji", *_read_folder(given.folder), given.sheets)}
        found["fashion_mnist"] = _measure("fashion_mnist", *_read_fashion_mnist(), given.sheets)
    save(__file__, found, _render(found))


def _read_folder(folder: Path) -> tuple[Bytes, list[str]]:
    """Return the pictures as a model sees them, and their paths in the folder."""
    paths = sorted(folder.glob("*/*/*.png"))
    images = np.stack([see(np.array(Image.open(path).convert("RGBA")), FORM).image for path in paths])
    return images, [path.relative_to(folder).as_posix() for path in paths]


def _read_fashion_mnist() -> tuple[Bytes, list[str]]:
    raw = read_raw(Project(ROOT), load_params(Project(ROOT).params).data)
    names = [f"{split} {number}" for split, part in raw.items() for number in range(len(part.labels))]
    return np.concatenate([part.images for part in raw.values()]), names


def _measure(dataset: str, images: Bytes, names: Sequence[str], sheets: Path | None) -> dict[str, Any]:
    pairs = _find_pairs(images)
    chosen = pairs[np.sort(np.random.default_rng(SEED).choice(len(pairs), LOOKED_AT, replace=False))]
    drawn = [(names[one], names[other]) for one, other in chosen]
    if sheets:
        sheets.mkdir(parents=True, exist_ok=True)
        _draw_sheet(images, chosen).save(sheets / f"{dataset}.png")
    verdicts = {(row[0], row[1]): row[2] for row in json.loads(SEEN.read_text(encoding="utf-8")).get(dataset, [])}
    judged = [verdicts[pair] for pair in drawn if pair in verdicts]
    sizes = np.bincount(group_copies(images))
    return {
        "images": len(images),
        "pairs": len(pairs),
        "images_with_a_near_copy": int(sizes[sizes > 1].sum()),
        "groups": int((sizes > 1).sum()),
        "largest_group": int(sizes.max()),
        "drawn": len(drawn),
        "looked_at": len(judged),
        "verdicts": {verdict: judged.count(verdict) for verdict in sorted(set(judged))},
        "duplicates": sum(verdict in DUPLICATES for verdict in judged),
        "found_of_altered": _find_altered(images),
    }


def _find_pairs(images: Bytes) -> NDArray[np.int64]:
    """Return the positions of all near copies, (n, 2), in order."""
    search = prepare_search(Parts({"": LabelledImages(images, np.zeros(len(images), np.uint8))}), most=len(images))
    found = [search.find(tile) for tile in search.tiles()]
    one, other = (np.concatenate([pairs[side] for pairs in found]) for side in (0, 1))
    return np.column_stack([one, other])[np.lexsort((other, one))]


def _find_altered(images: Bytes) -> dict[str, float]:
    """Return which share of pictures is in one group with a copy that was altered, by the alteration."""
    random = np.random.default_rng(SEED)
    chosen = images[random.choice(len(images), ALTERED, replace=False)]
    found = {}
    for name, alter in ALTERATIONS.items():
        altered = np.stack([alter(image, random).reshape(image.shape) for image in chosen])
        groups = group_copies(np.concatenate([chosen, altered]))
        found[name] = float((groups[:ALTERED] == groups[ALTERED:]).mean())
    return found


def _compress(image: Bytes, _: np.random.Generator) -> Bytes:
    stream = io.BytesIO()
    Image.fromarray(image.squeeze()).save(stream, "JPEG", quality=50)
    return np.array(Image.open(stream))


def _reduce(image: Bytes, _: np.random.Generator) -> Bytes:
    picture = Image.fromarray(image.squeeze())
    size = picture.size
    return np.array(picture.resize((size[0] * 3 // 4, size[1] * 3 // 4), BICUBIC).resize(size, BICUBIC))


def _move(image: Bytes, _: np.random.Generator) -> Bytes:
    moved = shift(image.astype(np.float64), (0.7, 0.7, 0), order=1, mode="nearest")
    return np.asarray(np.rint(moved), np.uint8)


def _darken(image: Bytes, _: np.random.Generator) -> Bytes:
    return np.asarray(image * 0.85, np.uint8)


def _add_noise(image: Bytes, random: np.random.Generator) -> Bytes:
    return np.asarray(np.rint((image + random.normal(0, 5, image.shape)).clip(0, 255)), np.uint8)


ALTERATIONS = {
    "JPEG of quality 50": _compress,
    "reduced to 3/4 and enlarged again": _reduce,
    "moved by 0.7 pixels down and right": _move,
    "15 % darker": _darken,
    "noise of 5 shades": _add_noise,
}


def _draw_sheet(images: Bytes, pairs: NDArray[np.int64], columns: int = 8) -> Image.Image:
    """Draw the pairs side by side under their numbers, counted from 0."""
    width, height = 2 * EDGE + 2 * BESIDE, EDGE + GAP
    sheet = Image.new("RGB", (columns * width, -(-len(pairs) // columns) * height), (128, 128, 128))
    for number, pair in enumerate(pairs):
        left, top = number % columns * width, number // columns * height
        ImageDraw.Draw(sheet).text((left, top + 4), str(number), fill=(255, 255, 0))
        for place, position in enumerate(pair):
            picture = Image.fromarray(images[position].squeeze()).resize((EDGE, EDGE), BICUBIC)
            sheet.paste(picture, (left + place * (EDGE + BESIDE // 2), top + GAP))
    return sheet


def _render(found: dict[str, Any]) -> str:
    heads = ["", "images", "pairs", "in groups", "groups", "largest group", "pairs looked at", "of these duplicates"]
    keys = ["images", "pairs", "images_with_a_near_copy", "groups", "largest_group", "looked_at", "duplicates"]
    names = {"emoji": "Emoji, 64 x 64, in colour", "fashion_mnist": "Fashion-MNIST, 28 x 28, grey"}
    rows = [[names[name], *(f"{row[key]:,}" for key in keys)] for name, row in found.items()]
    altered = [[name, *(f"{row['found_of_altered'][name]:.0%}" for row in found.values())] for name in ALTERATIONS]
    return paragraphs(table(heads, rows), table(["copy found if it is", *(names[name] for name in found)], altered))


if __name__ == "__main__":
    main()
