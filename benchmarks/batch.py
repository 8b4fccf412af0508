"""What answers for many pictures cost: images a second beside decoding and inference alone, and memory by the number.

Run with `python -m benchmarks.batch`; it takes about a quarter of an hour, and needs a champion in this project.
Nothing else should run meanwhile. What is done alone is done by the same processes as the answers, one a core.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.environment import apply_environment
from fashion.params import load_params
from fashion.paths import Project

if TYPE_CHECKING:
    from fashion.adapters.litert import Session
    from fashion.batch.stretches import Stretch
    from fashion.images.photos import Form
    from fashion.registry.champion import Found

PICTURES, SIZES, ROUNDS, AIM = 20_000, (10_000, 100_000, 300_000), 3, 0.8
PHOTOS = 250
"""Different photographs, which are repeated under other names."""
KINDS = {
    "idx": "IDX file, plain",
    "png": "PNG files of {size} pixels",
    "jpeg": "JPEG files of {photo} pixels",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of a kind; of photographs a tenth")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of PNG files")
    given = parser.parse_args()
    project = Project(ROOT)
    apply_environment(project)
    load_before = os.getloadavg()[0]
    with TemporaryDirectory(dir=project.state) as folder:
        rates = _measure_rates(project, Path(folder), given.pictures)
        memory = [_measure_memory(project, Path(folder), count) for count in given.sizes]
    found = {"machine": machine(load_before), "aim": AIM, "rates": rates, "memory": memory}
    save(__file__, found, _render(found, load_params(project.params).data.image_size))


# Images a second


def _measure_rates(project: Project, folder: Path, count: int) -> dict[str, Any]:
    from benchmarks.batch_pictures import repeat_images, write_files, write_photo, write_plain_idx, write_png
    from fashion.registry.champion import fetch_champion
    from fashion.stages.workers import processes

    params = load_params(project.params)
    found = fetch_champion(project, params)
    images = repeat_images(project, folder, count)
    sources = {
        "idx": (write_plain_idx(folder / "images.idx", images), count),
        "png": (write_files(folder / "png", images, count, write_png), count),
        "jpeg": (write_files(folder / "jpeg", images[:PHOTOS], count // 10, write_photo), count // 10),
    }
    with processes() as pool:
        _inference(pool, found, folder, count)  # The processes start.
        return {kind: _measure(pool, found, folder, *of_kind) for kind, of_kind in sources.items()}


def _measure(pool: Executor, found: "Found", folder: Path, source: Path, count: int) -> dict[str, float]:
    """Return images a second, the median of rounds in which everything takes its turn."""
    from fashion.batch.answer import Wanted, answer_with

    def answers() -> None:
        answer_with(found, "benchmark", Wanted(source, folder / "answers"), pool, lambda *_: None)
        shutil.rmtree(folder / "answers")

    works: Mapping[str, Callable[[], None]] = {
        "decoding": lambda: _decoding(pool, found.champion.form, source),
        "inference": lambda: _inference(pool, found, folder, count),
        "answers": answers,
    }
    seconds = [[_seconds(work) for work in works.values()] for _ in range(ROUNDS)]
    rates = dict(zip(works, (count / np.median(seconds, axis=0)).tolist(), strict=True))
    slower, both = min(rates["decoding"], rates["inference"]), 1 / (1 / rates["decoding"] + 1 / rates["inference"])
    return (
        {"pictures": count} | rates | {"of_the_slower": rates["answers"] / slower, "of_both": rates["answers"] / both}
    )


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _decoding(pool: Executor, form: "Form", source: Path) -> None:
    from fashion.batch.answer import PICTURES_A_SHARD
    from fashion.batch.sources import Search

    futures = [pool.submit(decode, source, stretch, form) for stretch in Search(source, PICTURES_A_SHARD).stretches()]
    for future in futures:
        future.result()


def decode(source: Path, stretch: "Stretch", form: "Form") -> int:
    """See the pictures of a stretch, and return how many they are; in a process of the pool."""
    from fashion.batch.seeing import see_stretch

    return sum(1 for _ in see_stretch(source, stretch, None, form))


def _inference(pool: Executor, found: "Found", folder: Path, count: int) -> None:
    from fashion.batch.answer import PICTURES_A_SHARD

    champion = found.champion
    starts = range(0, count, PICTURES_A_SHARD)
    ends = [min(count, start + PICTURES_A_SHARD) for start in starts]
    futures = [
        pool.submit(infer, champion.model, folder / "images.npy", slice(start, end))
        for start, end in zip(starts, ends, strict=True)
    ]
    for future in futures:
        future.result()


def infer(model: Path, file: Path, chosen: slice) -> int:
    """Ask the model about images of a mapped file, as many at a time as for answers; in a process of the pool."""
    from fashion.batch.answering import AT_ONCE

    images = np.load(file, mmap_mode="r")[chosen]
    session = _open(model, images.shape[1:])
    for start in range(0, len(images), AT_ONCE):
        session.run(images[start : start + AT_ONCE])
    return len(images)


@lru_cache(maxsize=1)
def _open(model: Path, shape: tuple[int, int, int]) -> "Session":
    from fashion.adapters.litert import Session

    return Session(model, shape, threads=1)


# Memory


def _measure_memory(project: Project, folder: Path, count: int) -> dict[str, float]:
    """Answer so many PNG files by the command; return the most memory of all its processes that is not mapped files."""
    from benchmarks.batch_pictures import LINKS, write_files, write_png

    images = np.load(folder / "images.npy", mmap_mode="r")[:LINKS]
    source, output = write_files(folder / f"png-{count}", images, count, write_png), folder / f"answers-{count}"
    arguments = ["predict", str(source), "--output", str(output)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "from fashion.cli import main; main()", *arguments],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
    )
    peak = max(_watch(process))
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"fashion {' '.join(arguments)} ended with {process.returncode}")
    shutil.rmtree(source)
    return {"pictures": count, "mebibytes": peak / (1 << 20), "seconds": seconds, "rate": count / seconds}


def _watch(process: "subprocess.Popen[bytes]") -> Iterator[int]:
    yield 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            yield sum(map(_unmapped, [parent, *parent.children(recursive=True)]))
        time.sleep(0.2)


def _unmapped(process: psutil.Process) -> int:
    """Return the bytes of a process that are not mapped files; 0 for one that has ended."""
    with suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        return sum(1024 * int(size) for size in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", status, re.MULTILINE))
    return 0


def _render(found: dict[str, Any], size: Sequence[int]) -> str:
    from benchmarks.batch_pictures import PHOTO_EDGES

    words = {"size": f"{size[0]} x {size[1]}", "photo": "{} x {}".format(*PHOTO_EDGES)}
    heads = ["", "pictures", "decoding alone", "inference alone", "answers", "of the slower", "of one after the other"]
    rates = [
        [KINDS[kind].format(**words)]
        + [f"{row[name]:,.0f}" for name in ("pictures", "decoding", "inference", "answers")]
        + [f"{row['of_the_slower']:.2f}", f"{row['of_both']:.2f}"]
        for kind, row in found["rates"].items()
    ]
    memory = [[f"{row['pictures']:,}", f"{row['mebibytes']:,.0f}", f"{row['rate']:,.0f}"] for row in found["memory"]]
    return paragraphs(
        f"{measured_on(found['machine'])}. Images a second, the median of {ROUNDS} rounds:",
        table(heads, rates),
        table(["PNG files", "MiB that are not mapped files, all processes", "images a second, start included"], memory),
    )


if __name__ == "__main__":
    main()
