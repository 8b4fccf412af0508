"""What keeping the picture that was sent costs: bytes and milliseconds by encoding, and reading the log beside it.

Run with `python -m benchmarks.kept_pictures`; it takes a minute.
"""

import io
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.results import machine, measured_on, paragraphs, save, table, take_no_arguments
from fashion.adapters.decoding import read_pictures
from fashion.adapters.keeping import encode_picture
from fashion.arrays import Bytes
from fashion.images.synthetic import draw

PHOTOGRAPHS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
"""Those that come with packages which are there anyway."""
ENCODINGS: dict[str, dict[str, Any]] = {
    "JPEG, quality 80": {"format": "JPEG", "quality": 80},
    "JPEG, quality 90": {"format": "JPEG", "quality": 90},
    "WebP, quality 80": {"format": "WEBP", "quality": 80, "method": 2},
    "WebP, quality 90": {"format": "WEBP", "quality": 90, "method": 2},
    "WebP, lossless": {"format": "WEBP", "lossless": True, "quality": 0, "method": 0},
    "PNG, fastest": {"format": "PNG", "compress_level": 1},
}
SECONDS = 0.5
ROWS, PICTURE_BYTES, IMAGE_BYTES = 10_000, 35_000, 784
TABLES = {
    "no pictures": ("CREATE TABLE p (id TEXT PRIMARY KEY, image BLOB, number BIGINT UNIQUE)",),
    "a column": ("CREATE TABLE p (id TEXT PRIMARY KEY, image BLOB, number BIGINT UNIQUE, picture BLOB)",),
    "a table": (
        "CREATE TABLE p (id TEXT PRIMARY KEY, image BLOB, number BIGINT UNIQUE)",
        "CREATE TABLE pictures (id TEXT PRIMARY KEY, picture BLOB)",
    ),
}


def main() -> None:
    take_no_arguments(__doc__)
    load_before = os.getloadavg()[0]
    encodings = [_measure_encoding(*one) for one in ENCODINGS.items()]
    cost = {path.name: _measure_cost(path) for path in _photographs()}
    with TemporaryDirectory() as folder:
        reading = {name: _measure_reading(Path(folder, f"{name}.db"), name) for name in TABLES}
    results = {"machine": machine(load_before), "encodings": encodings, "cost": cost, "reading": reading}
    save(__file__, results, _render(results))


def _photographs() -> list[Path]:
    return [Path(str(files(package))) / name for package, name in PHOTOGRAPHS]


def _pictures() -> dict[str, list[Bytes]]:
    photographs = [read_pictures(path)[0].pixels for path in _photographs()]
    small = [np.asarray(Image.fromarray(one).resize((128, 128), Image.Resampling.LANCZOS)) for one in photographs]
    return {"photographs": photographs, "128 x 128": small, "28 x 28": list(draw(50, 10, (28, 28), seed=1)[0][..., 0])}


def _measure_encoding(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the mean bytes and milliseconds of an encoding for each kind of picture."""

    def encode(picture: Bytes) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, **options)
        return stream.getvalue()

    found: dict[str, Any] = {"encoding": name}
    for kind, pictures in _pictures().items():
        sizes = [len(encode(one)) for one in pictures]
        found[kind] = {"bytes": float(np.mean(sizes)), "ms": _milliseconds(encode, pictures)}
    return found


def _measure_cost(path: Path) -> dict[str, float]:
    """Return what decoding a photograph takes, and then encoding it, in milliseconds."""
    picture = read_pictures(path)[0].pixels
    kept = encode_picture(picture) or b""
    return {
        "decode": _milliseconds(read_pictures, [path]),
        "encode": _milliseconds(encode_picture, [picture]),
        "bytes": len(kept),
    }


def _milliseconds(work: Callable[[Any], object], given: Sequence[Any]) -> float:
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for one in given:
            work(one)
        count += len(given)
    return (time.perf_counter() - start) / count * 1000


def _measure_reading(path: Path, name: str) -> dict[str, float]:
    """Return the milliseconds in which SQLite reads all predictions, without the file in memory and with it."""
    picture, image = os.urandom(PICTURE_BYTES), os.urandom(IMAGE_BYTES)
    with sqlite3.connect(path) as log:
        for statement in TABLES[name]:
            log.execute(statement)
        for number in range(ROWS):
            row = (f"{number:036d}", image, number)
            log.execute(
                "INSERT INTO p VALUES (?, ?, ?)" if name != "a column" else "INSERT INTO p VALUES (?, ?, ?, ?)",
                row if name != "a column" else (*row, picture),
            )
            if name == "a table":
                log.execute("INSERT INTO pictures VALUES (?, ?)", (row[0], picture))
    log.close()
    times = [_read(path) for _ in range(3)]
    return {"cold": min(cold for cold, _ in times), "warm": min(warm for _, warm in times)}


def _read(path: Path) -> tuple[float, float]:
    os.sync()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    log = sqlite3.connect(path)
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        log.execute("SELECT id, image, number FROM p ORDER BY number DESC").fetchall()
        taken.append((time.perf_counter() - start) * 1000)
    log.close()
    return taken[0], taken[1]


def _render(found: dict[str, Any]) -> str:
    kinds = ("photographs", "128 x 128", "28 x 28")
    heads = ["encoding", *(f"{kind}: bytes, ms" for kind in kinds)]
    rows = [
        [one["encoding"], *(f"{one[kind]['bytes']:,.0f}, {one[kind]['ms']:.2f}" for kind in kinds)]
        for one in found["encodings"]
    ]
    cost = [
        [name, f"{one['decode']:.1f}", f"{one['encode']:.1f}", f"{one['bytes']:,.0f}"]
        for name, one in found["cost"].items()
    ]
    reading = [[name, f"{one['cold']:.0f}", f"{one['warm']:.0f}"] for name, one in found["reading"].items()]
    return paragraphs(
        f"{measured_on(found['machine'])}.",
        table(heads, rows),
        table(["photograph", "decoding, ms", "encoding, ms", "bytes"], cost),
        table([f"{ROWS:,} predictions, pictures in", "read from disk, ms", "from memory, ms"], reading),
    )


if __name__ == "__main__":
    main()
