"""Every input gives a result or a FashionError, within 1 GiB of memory, and none goes on for ever."""

import json
import struct
import subprocess
import sys
from gzip import GzipFile

import numpy as np
import pytest
from PIL import Image

from fashion.images.idx import LARGEST_BYTES
from tests.fuzz.targets import ROOT, TARGETS

INPUTS = {
    "idx": 400,
    "shards": 200,
    "photographs": 400,
    "sources": 200,
    "params": 150,
    "suites": 300,
    "checks": 20,
    "artifacts": 300,
}
"""By what a reader takes for one; a few seconds each. `python -m tests.fuzz` tries more."""
PATIENCE_SECONDS = 100
"""Of processor time, for one input: what no machine needs, so that only an input without end is stopped."""


def fuzz(tmp_path, name, *options, before="", seconds=PATIENCE_SECONDS):
    """The tally of a process of its own, in which `before` was run first."""
    code = f"{before}\nfrom tests.fuzz import worker\nworker.main()"
    limits = ["--keep", str(tmp_path / "keep"), "--most-seconds", str(seconds)]
    command = [sys.executable, "-c", code, name, *limits, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
@pytest.mark.parametrize("name", TARGETS)
def test_every_input_gives_a_result_or_an_error_of_ours(tmp_path, name, record_property):
    tally = fuzz(tmp_path, name, "--inputs", str(INPUTS[name]))
    said = f"{tally['inputs']} inputs, {tally['refused']} refused, {tally['seconds']:.0f} s"
    record_property("fuzzed", f"{name}: {said}, slowest {tally['slowest_seconds']:.2f} s, {tally['peak_mib']:.0f} MiB")
    assert tally["failures"] == {}, f"try one again with: python -m tests.fuzz.worker {name} --replay FILE"
    assert tally["inputs"] >= INPUTS[name]
    assert 0 < tally["refused"] < tally["inputs"]


BAD_READERS = {
    "memory": ("bytearray(2 << 30)", "MemoryError"),
    "hidden memory": ("hide_memory()", "MemoryError"),
    "resident memory": ("keep.append(bytearray(b'x') * (100 << 20))", "MiB of memory"),
    "time": ("[None for _ in iter(int, 1)]", "TooSlow"),
    "waiting": ("open(fifo)", "TooSlow"),
    "an error of another kind": ("{}[0]", "KeyError"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
@pytest.mark.parametrize("bad", BAD_READERS)
def test_a_reader_that_breaks_a_limit_is_caught(tmp_path, bad):
    action, expected = BAD_READERS[bad]
    before = f"""
import os
from dataclasses import replace
from fashion.errors import DataError
from tests.fuzz import targets, worker
if {bad == "waiting"}:
    worker.MOST_WAITING_SECONDS = 1.0
if {bad == "resident memory"}:
    worker.MOST_BYTES = 1 << 26
    worker.resource.setrlimit = lambda *_: None
fifo, keep = {str(tmp_path / "fifo")!r}, []
os.mkfifo(fifo)
def hide_memory():
    try:
        bytearray(2 << 30)
    except Exception as error:
        raise DataError("damaged") from error
def read(content, folder):
    if content == b"content":  # Not while the process warms up.
        {action}
    raise DataError("refused")
targets.TARGETS["idx"] = replace(targets.TARGETS["idx"], read=read)
"""
    (tmp_path / "input").write_bytes(b"content")
    tally = fuzz(
        tmp_path,
        "idx",
        "--replay",
        str(tmp_path / "input"),
        before=before,
        seconds=1 if bad == "time" else PATIENCE_SECONDS,
    )
    assert any(expected in failure for failure in tally["failures"])


def write_claim(path, shape, content_bytes):
    """A compressed IDX file whose header claims `shape`, with so many zeros behind it."""
    with path.open("wb") as file, GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        if path.name.startswith("idx"):
            file.write(b"\2")
        packed.write(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape))
        for _ in range(content_bytes >> 20):
            packed.write(bytes(1 << 20))


BOMBS = {
    "idx of a billion images": lambda path: write_claim(path, (10**9, 28, 28), 200 << 20),
    "idx of one byte more than is read": lambda path: write_claim(path, (LARGEST_BYTES + 1, 1, 1), 1 << 20),
    "idx of a small image with 200 MiB behind it": lambda path: write_claim(path, (1, 28, 28), 200 << 20),
    "idx that claims what is read, and holds nothing": lambda path: write_claim(path, (LARGEST_BYTES, 1, 1), 0),
    "pictures of 700 MiB in an IDX file": lambda path: write_claim(path, (700, 1024, 1024), 100 << 20),
    "pictures of one pixel, ten million": lambda path: write_claim(path, (10_000_000, 1, 1), 10 << 20),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, bomb):
    path = tmp_path / bomb
    BOMBS[bomb](path)
    tally = fuzz(tmp_path, "idx" if bomb.startswith("idx") else "photographs", "--replay", str(path))
    assert (tally["failures"], tally["refused"]) == ({}, 1)
    assert tally["peak_mib"] < 40


def save_largest(path):
    """What takes most: 40 million pixels of an animated WebP."""
    first = Image.new("RGB", (6324, 6324))
    first.paste("white", (1000, 1000, 3000, 4000))
    first.save(path, "WEBP", save_all=True, append_images=[Image.new("RGB", first.size, "red")], method=0, quality=0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_the_largest_picture_is_read_within_the_limits(tmp_path):
    save_largest(tmp_path / "large")
    tally = fuzz(tmp_path, "photographs", "--replay", str(tmp_path / "large"))
    assert (tally["failures"], tally["refused"]) == ({}, 0)
    assert 100 < tally["peak_mib"] < 1024


def read_pictures(tmp_path, count):
    """The tally of a file with so many pictures."""
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    path = tmp_path / str(count)
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, *images.shape) + images.tobytes())
    tally = fuzz(tmp_path, "photographs", "--replay", str(path))
    assert (tally["failures"], tally["refused"]) == ({}, 0)
    return tally


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_ten_thousand_pictures_in_a_file_are_read_within_the_limits_and_each_as_fast_as_of_a_thousand(tmp_path):
    thousand, ten_thousand = (read_pictures(tmp_path, count) for count in (1_000, 10_000))
    assert ten_thousand["peak_mib"] < 100
    # Ten times the work: three times as much is a busy machine, ten times as much would be a square.
    assert ten_thousand["slowest_seconds"] < 30 * thousand["slowest_seconds"]
