"""Fuzz every reader for long; writes benchmarks/fuzz.json and benchmarks/fuzz.md.

    python -m tests.fuzz --seconds 60              # for each of eight readers and two engines: sixteen minutes
    python -m tests.fuzz --seconds 60 --reader idx # for one; what was found for the others stays

Hypothesis makes inputs that keep the form of their format; atheris (libFuzzer), where it is installed, is led by
coverage. Each runs in a process of its own under the limits of tests/fuzz/worker.py. Failing inputs are kept in
.state/fuzz/, and the exit status is 1 if there are any.
"""

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from fashion.storage import write_json, write_text
from tests.fuzz.targets import ROOT, TARGETS

RESULTS = ROOT / "benchmarks" / "fuzz.json"
TABLE = RESULTS.with_suffix(".md")
HEADS = ("reader", "engine", "inputs", "refused", "minutes", "slowest input", "peak memory", "failures")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=TARGETS, help="this one alone; may be repeated")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    chosen, seconds = arguments.reader or list(TARGETS), arguments.seconds
    engines = ["hypothesis", "atheris"] if find_spec("atheris") else ["hypothesis"]
    before = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = [fuzz(name, engine, seconds) for name in chosen for engine in engines]
    known = [*found, *(tally for tally in before if tally["target"] not in chosen)]
    tallies = sorted(known, key=lambda tally: list(TARGETS).index(tally["target"]))
    write_json(RESULTS, tallies)
    write_text(TABLE, render(tallies))
    print(TABLE.read_text(encoding="utf-8"))
    for tally in tallies:
        for place, failure in tally["failures"].items():
            print(f"{tally['target']}: {place}: {failure}")
    return 1 if any(tally["failures"] for tally in tallies) else 0


def fuzz(name: str, engine: str, seconds: float) -> dict[str, Any]:
    """Return the tally of one reader, as tests/fuzz/worker.py prints it."""
    keep = ROOT / ".state" / "fuzz"
    options = ["--engine", engine, "--seconds", str(seconds), "--keep", str(keep)]
    command = [sys.executable, "-m", "tests.fuzz.worker", name, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: the process ended with {done.returncode}:\n{done.stderr[-2000:]}")
    tally: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return tally


def render(tallies: list[dict[str, Any]]) -> str:
    """Return the table that docs/fuzzing.md quotes."""
    head, *lines = (f"| {' | '.join(cells)} |\n" for cells in (HEADS, *map(_cells, tallies)))
    return "".join([head, "|---" * len(HEADS), "|\n", *lines])


def _cells(tally: dict[str, Any]) -> tuple[str, ...]:
    return (
        tally["target"],
        tally["engine"],
        f"{tally['inputs']:,}",
        f"{tally['refused']:,}",
        f"{tally['seconds'] / 60:.1f}",
        f"{tally['slowest_seconds']:.2f} s",
        f"{tally['peak_mib']:.0f} MiB",
        str(len(tally["failures"])),
    )


if __name__ == "__main__":
    sys.exit(main())
