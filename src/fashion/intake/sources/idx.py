"""IDX files, MNIST's layout, plain or gzipped: images and labels, of training and of testing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fashion.adapters.decoding import GZIP
from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.encoding import encode_png
from fashion.images.idx import read_idx, read_plain_idx
from fashion.intake.layout import SPLIT_NAMES
from fashion.intake.sources.source import Item, Source

SPLIT_WORDS = {**SPLIT_NAMES, "t10k": "test"}
"""Which split a word in the name of a file says."""


def find_idx(folder: Path) -> list[tuple[Path, Path]]:
    """Return the pairs of images and labels in a folder: names that differ in these words and in the dimensions.

    Of a file that is there plain and compressed, as after `gunzip --keep`, the plain one is taken.
    """
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and "ubyte" in path.name]
    # The plain ones come last, and take the place of the compressed.
    files = {_plain_name(path): path for path in sorted(found, key=lambda path: path.suffix != ".gz")}
    images = sorted(name for name in files if "images" in name)
    labels = {name.split("labels")[0]: name for name in files if "labels" in name}
    pairs = [(files[name], labels.get(name.split("images")[0])) for name in images]
    return [(path, files[other]) for path, other in pairs if other]


def _plain_name(path: Path) -> str:
    """Return what a file is called once it is decompressed; 7-Zip restores MNIST's names with a dot before `idx`."""
    return path.name.removesuffix(".gz").replace(".idx", "-idx")


def open_idx(name: str, pairs: Sequence[tuple[Path, Path]]) -> Source:
    """Read IDX files, which are arrays; each image becomes a PNG file once it is asked for.

    Raises:
        DataError: a file is damaged, the two of a pair disagree, or the pairs are of several datasets, as EMNIST's.
    """
    datasets = sorted({_dataset(path) for path, _ in pairs})
    if len(datasets) > 1:
        raise DataError(
            f"{name} holds the IDX files of {len(datasets)} datasets: {', '.join(datasets)}. Move those of one into a "
            "folder of its own, and import that"
        )
    arrays: dict[str, Bytes] = {}
    items = []
    for path, other in pairs:
        images, labels = _read(path, (3, 4)), _read(other, 1)
        if len(images) != len(labels):
            raise DataError(f"{path.name} has {len(images)} images, {other.name} {len(labels)} labels")
        arrays[path.name] = images if images.ndim == 4 else images[..., None]
        split = _split(path, several=len(pairs) > 1)
        size = int(images[:1].nbytes)
        items += [
            Item(f"{path.name}[{row}]", str(label), split, size=size) for row, label in enumerate(labels.tolist())
        ]
    return Source(name, items, lambda chosen: _encode(arrays, chosen))


def _split(path: Path, several: bool) -> str | None:
    if not several:
        return None
    words = _words(path.name)
    return next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), "train")


def _dataset(path: Path) -> str:
    """Return what is left of the name of a file of images without its split."""
    words = _words(path.name.split("images")[0])
    return "-".join(word for word in words if word not in SPLIT_WORDS).strip("-") or "one without a name"


def _words(name: str) -> list[str]:
    return re.split(r"[-_.]", name.lower())


def _read(path: Path, dimensions: int | tuple[int, ...]) -> Bytes:
    with path.open("rb") as stream:
        compressed = stream.read(len(GZIP)) == GZIP
        stream.seek(0)
        return (read_idx if compressed else read_plain_idx)(stream, path.name, dimensions)


def _encode(arrays: Mapping[str, Bytes], items: Sequence[Item]) -> Iterator[bytes | DataError]:
    for item in items:
        name, _, row = item.name.removesuffix("]").rpartition("[")
        yield encode_png(arrays[name][int(row)])
