"""What every benchmark leaves beside its module: figures as JSON, and the tables that the documents quote."""

import argparse
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fashion.adapters.machine import describe_machine
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
INSTRUCTIONS = re.compile(r"avx2|avx_vnni|avx512(f|_vnni|_bf16|_fp16)|amx_\w+|asimd|sve2?")
"""The flags of a processor by which oneDNN chooses its kernels."""


def take_no_arguments(about: str | None) -> None:
    """Show what a benchmark is about for `--help`, and refuse other arguments instead of measuring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()


def save(module: str, figures: Any, page: str) -> None:
    """Write MODULE.json and MODULE.md for the module at the path `module`, and print the page."""
    write_json(Path(module).with_suffix(".json"), figures)
    write_text(Path(module).with_suffix(".md"), page)
    print(page)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; heads and cells are Markdown already."""
    heads = list(heads)
    head, *lines = ("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in (heads, *rows))
    return "\n".join([head, "|---" * len(heads) + "|", *lines])


def paragraphs(*parts: str) -> str:
    """Return a page of these parts with an empty line between each two."""
    return "\n\n".join(parts) + "\n"


def machine(load_before: float | None = None) -> dict[str, Any]:
    """Return what a figure hangs on: weights differ between instruction sets, times between processors.

    Args:
        load_before: the load average before anything was measured, to be shown beside that of now.
    """
    here = describe_machine()
    loads = {"load_average_before": load_before, "load_average_after": os.getloadavg()[0]}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": here.processor,
        "instructions": [name for name in here.instructions if INSTRUCTIONS.fullmatch(name)],
        "variables": here.variables,
        "cores": here.cpus,
        "python": here.python,
    } | ({} if load_before is None else loads)


def measured_on(found: Mapping[str, Any]) -> str:
    """Return the sentence, without its full stop, that stands above every table of times."""
    flags = ", ".join([*found["instructions"], *(f"{name}={value}" for name, value in found["variables"].items())])
    words = "Measured on {date}: {processor} ({flags}), {cores} cores, Python {python}"
    if "load_average_before" in found:
        words += "; load average before and after {load_average_before:.1f} and {load_average_after:.1f}"
    return words.format(**found, flags=flags)
