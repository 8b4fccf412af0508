"""Fuzzes one reader in this process, under limits, and prints what came of it as one line of JSON.

    python -m tests.fuzz.worker params --inputs 500      # hypothesis: the same inputs each time
    python -m tests.fuzz.worker params --seconds 60                     # the same, for so long
    python -m tests.fuzz.worker params --seconds 60 --engine atheris    # led by coverage

A failing input is kept in --keep and tried again with --replay FILE.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FrameType

from fashion.errors import FashionError
from tests.fuzz.targets import TARGETS, Target

MOST_BYTES = 1 << 30
"""Of memory, for one input, beyond what the process had before the first."""
MOST_SECONDS = 5.0
"""Of processor time, for one input."""
SLOWDOWN = 10
"""By which atheris's counting of branches may slow Python down."""
MOST_WAITING_SECONDS = 120.0
"""By the clock; it ends an input that waits for something, and is generous to a busy machine."""
LONGEST_INPUT = 1 << 17


class TooSlow(BaseException):
    """No Exception, so that no reader can swallow it."""


@dataclass
class Tally:
    """What came of the inputs so far."""

    target: str
    engine: str
    inputs: int = 0
    refused: int = 0
    """Inputs that ended in a FashionError; the others gave a result."""
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    """Processor time of the slowest input."""
    peak_mib: float = 0.0
    """Resident memory beyond what the process had before the first input."""
    failures: dict[str, str] = field(default_factory=dict)
    """For each place in which an input failed, how, and the file that holds the first such input."""


class Fuzzer:
    """Hands inputs to a target and keeps the tally."""

    def __init__(self, name: str, engine: str, keep: Path, most_seconds: float) -> None:
        self.target: Target = TARGETS[name]
        self.tally = Tally(name, engine)
        self.keep = keep
        self.most_seconds = most_seconds * (SLOWDOWN if engine == "atheris" else 1)
        self.started = time.monotonic()
        self.memory = _resident("VmRSS")

    def try_input(self, content: bytes) -> None:
        self.tally.inputs += 1
        Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
        start = time.process_time()
        try:
            with tempfile.TemporaryDirectory(dir=self.keep) as folder, _alarms(self.most_seconds):
                self.target.read(content, Path(folder))
        except FashionError as error:
            self.tally.refused += 1
            if problem := _hidden(error):
                self._fail(problem, error, content)
        except (Exception, TooSlow) as error:  # noqa: BLE001 (this is what is looked for)
            self._fail(type(error).__name__, error, content)
        seconds = time.process_time() - start
        peak = _resident("VmHWM") - self.memory
        if peak > MOST_BYTES:
            self._fail(f"{peak >> 20} MiB of memory", None, content)
        if seconds > self.most_seconds:
            self._fail(f"{seconds:.1f} s", None, content)
        self.tally.slowest_seconds = max(self.tally.slowest_seconds, seconds)
        self.tally.peak_mib = max(self.tally.peak_mib, peak / 2**20)
        self.tally.seconds = time.monotonic() - self.started

    def _fail(self, what: str, error: BaseException | None, content: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-1:] if error else []
        where = f"{what} {' '.join(f'{Path(frame.filename).name}:{frame.lineno}' for frame in frames)}".strip()
        if where not in self.tally.failures:
            path = self.keep / f"{self.tally.target}-{sha256(content).hexdigest()[:16]}"
            path.write_bytes(content)
            self.tally.failures[where] = f"{path}: {str(error)[:200] if error else what}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="folder for failing inputs")
    parser.add_argument("--most-seconds", type=float, default=MOST_SECONDS, help="of processor time, for one input")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--inputs", type=int)
    what.add_argument("--seconds", type=float)
    what.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    if arguments.engine == "atheris" and not arguments.seconds:
        parser.error("atheris wants --seconds")
    arguments.keep.mkdir(parents=True, exist_ok=True)
    if arguments.engine == "atheris":
        _instrument()
    TARGETS[arguments.target].prepare()
    seeds = list(TARGETS[arguments.target].seeds())
    # What the libraries import and set up for their first file is no property of that file. The first table that pandas
    # reads, for one, makes Arrow set a gibibyte of addresses aside.
    for content in seeds[:2]:
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(FashionError):
            TARGETS[arguments.target].read(content, Path(folder))
    fuzzer = Fuzzer(arguments.target, arguments.engine, arguments.keep, arguments.most_seconds)
    resource.setrlimit(resource.RLIMIT_AS, (_resident("VmSize") + MOST_BYTES,) * 2)
    for content in seeds if arguments.replay is None else [arguments.replay.read_bytes()]:
        fuzzer.try_input(content)
    if arguments.engine == "atheris":
        _run_atheris(fuzzer, seeds, arguments.seconds)
    elif arguments.replay is None:
        _run_hypothesis(fuzzer, seeds, arguments.inputs, arguments.seconds)
    _report(fuzzer)


def _run_hypothesis(fuzzer: Fuzzer, seeds: list[bytes], inputs: int | None, seconds: float | None) -> None:
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests.fuzz.inputs import inputs_like

    end = time.monotonic() + seconds if seconds else None
    number = 0
    while True:

        @seed(number)
        @settings(
            max_examples=inputs or 1000,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs_like(seeds, fuzzer.target.tokens, fuzzer.target.trees()))
        def run(content: bytes) -> None:
            if end is None or time.monotonic() < end:
                fuzzer.try_input(content)

        run()
        number += 1
        if end is None or time.monotonic() >= end:
            return


def _run_atheris(fuzzer: Fuzzer, seeds: list[bytes], seconds: float) -> None:
    """libFuzzer ends the process itself when its time is up, so the report is written by the last input."""
    import atheris

    end = time.monotonic() + seconds
    corpus = fuzzer.keep / "corpus" / fuzzer.tally.target
    corpus.mkdir(parents=True, exist_ok=True)
    for content in seeds:
        (corpus / sha256(content).hexdigest()[:16]).write_bytes(content)
    words = corpus.with_suffix(".dictionary")
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in fuzzer.target.tokens)
    words.write_text("".join(f'"{token}"\n' for token in escaped))

    def run(content: bytes) -> None:
        if time.monotonic() > end:
            _report(fuzzer)
            os._exit(0)
        fuzzer.try_input(content)

    options = [
        "-rss_limit_mb=0",
        "-malloc_limit_mb=0",
        "-timeout=0",
        "-report_slow_units=1000",
        "-verbosity=0",
        f"-max_len={LONGEST_INPUT}",
        "-seed=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-dict={words}", str(corpus)], run)
    atheris.Fuzz()


def _instrument() -> None:
    """Our modules, and Python that they read with; PyYAML would become ten times slower."""
    import atheris

    with atheris.instrument_imports(include=["fashion", "gzip", "PIL"]):
        import fashion.adapters.decoding
        import fashion.params  # noqa: F401


def _report(fuzzer: Fuzzer) -> None:
    sys.stdout.write(json.dumps(asdict(fuzzer.tally)) + "\n")
    sys.stdout.flush()


def _hidden(error: BaseException | None) -> str | None:
    """Memory that ran out is no property of the input, even where a reader says that the file is damaged."""
    while error:
        if isinstance(error, MemoryError) or "MemoryError" in str(error):
            return "MemoryError"
        error = error.__cause__
    return None


@contextlib.contextmanager
def _alarms(seconds: float) -> Iterator[None]:
    signal.signal(signal.SIGPROF, _ring)
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, MOST_WAITING_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlow(signal.Signals(number).name)


def _resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {name}")


if __name__ == "__main__":
    main()
