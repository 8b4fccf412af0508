"""What the page about the data costs: seconds and memory of `fashion explore` on the data that are there.

Run with `python -m benchmarks.explore`; it takes half a minute. Nothing else should run meanwhile.
"""

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table, take_no_arguments


def main() -> None:
    take_no_arguments(__doc__)
    load_before = os.getloadavg()[0]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from fashion.cli import main; main()", "explore"], cwd=ROOT, check=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    folder = ROOT / "artifacts" / "exploration"
    found = json.loads((folder / "exploration.json").read_text(encoding="utf-8"))["figures"]
    results = {
        "machine": machine(load_before),
        "images": sum(found["classes"]),
        "compared": found["near_copies"]["compared"],
        "embedded": found["embedded"],
        "seconds": seconds,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "mebibytes": used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20),
        "page_bytes": (folder / "index.html").stat().st_size,
    }
    save(__file__, results, _render(results))


def _render(found: dict[str, Any]) -> str:
    heads = ["images", "compared as near copies", "in the plane", "seconds", "of processors", "MiB", "page, bytes"]
    row = [f"{found[name]:,}" for name in ("images", "compared", "embedded")]
    row += [f"{found[name]:,.0f}" for name in ("seconds", "processor_seconds", "mebibytes", "page_bytes")]
    return paragraphs(f"{measured_on(found['machine'])}.", table(heads, [row]))


if __name__ == "__main__":
    main()
