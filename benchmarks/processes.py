"""Commands and servers that benchmarks run, each in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 120
"""For a server to end after SIGTERM."""


@dataclass(frozen=True)
class Measured:
    """One process: wall seconds and peak resident memory in MiB."""

    seconds: float
    mebibytes: float


def run(command: Sequence[str], folder: Path) -> Measured:
    """Run to the end; a failure ends the benchmark with what was printed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    # Linux counts kibibytes, macOS bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Measured(time.perf_counter() - start, usage.ru_maxrss / unit)


@contextmanager
def running(command: Sequence[str], folder: Path, log: Path = Path(os.devnull)) -> Iterator[int]:
    """Run a server for the duration of the block, what it prints going to `log`; yield the number of its process."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        finally:
            with suppress(ProcessLookupError):  # Whoever it has left behind.
                os.killpg(process.pid, signal.SIGTERM)


def wait_for(address: str, seconds: float = 300) -> None:
    """Wait until something answers; if nothing does, the benchmark ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers(address):
            return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers at {address}")


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
