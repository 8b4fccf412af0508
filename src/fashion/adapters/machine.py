"""The hardware and software of a training, as far as they affect numbers."""

import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

TENSORFLOW = "tensorflow" if sys.platform == "darwin" else "tensorflow-cpu"
PACKAGES = (TENSORFLOW, "keras", "numpy", "scipy", "scikit-learn")
INSTRUCTIONS = re.compile(r"(sse|ssse|avx|fma|f16c|amx|asimd|sve)\w*")
"""The instruction sets that decide which kernels oneDNN, Eigen and NumPy use, and hence the order of their sums."""
VARIABLES = re.compile(r"TF_ENABLE_ONEDNN_OPTS|TF_NUM_\w+_THREADS|TF_DETERMINISTIC_OPS|ONEDNN_\w+|DNNL_\w+|OMP_\w+")


@dataclass(frozen=True)
class Machine:
    """Two machines that agree in all of this are expected to train the same weights from the same seed."""

    system: str
    processor: str
    instructions: tuple[str, ...]
    """Those reported by Linux; empty elsewhere."""
    cpus: int
    """CPUs that this process may use: TensorFlow starts as many threads, which divide the sums among them."""
    python: str
    packages: dict[str, str]
    variables: dict[str, str]
    """Environment variables, such as TF_ENABLE_ONEDNN_OPTS."""


def describe_machine() -> Machine:
    """Describe the machine, the interpreter and the libraries of this process."""
    processor, flags = describe_processor()
    return Machine(
        system=" ".join(filter(None, [platform.system(), platform.machine(), *platform.libc_ver()])),
        processor=processor,
        instructions=tuple(sorted(flag for flag in flags if INSTRUCTIONS.fullmatch(flag))),
        cpus=_usable_cpus(),
        python=platform.python_version(),
        packages={name: installed(name) for name in PACKAGES},
        variables={name: os.environ[name] for name in sorted(os.environ) if VARIABLES.fullmatch(name)},
    )


def describe_processor() -> tuple[str, list[str]]:
    """Return the processor's name, and the flags that Linux lists."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor(), []
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    found = {name.strip().lower(): value.strip() for name, _, value in lines}
    return found.get("model name", platform.machine()), (found.get("flags") or found.get("features", "")).split()


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
