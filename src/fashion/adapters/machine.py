"""The hardware and software of a training, as far as they affect numbers."""

import logging
import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

from fashion.params import Recipe

TENSORFLOW = "tensorflow" if sys.platform == "darwin" else "tensorflow-cpu"
PACKAGES = (TENSORFLOW, "keras", "numpy", "scipy", "scikit-learn")
INSTRUCTIONS = re.compile(r"(sse|ssse|avx|fma|f16c|amx|asimd|sve)\w*")
"""The instruction sets that decide which kernels oneDNN, Eigen and NumPy use, and hence the order of their sums."""
VARIABLES = re.compile(r"TF_ENABLE_ONEDNN_OPTS|TF_NUM_\w+_THREADS|TF_DETERMINISTIC_OPS|ONEDNN_\w+|DNNL_\w+|OMP_\w+")

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of processors that multiply in bfloat16: two of x86, and that of Arm."""
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep oneDNN from what a processor can do."""
WITH_BFLOAT16 = re.compile(r"|DEFAULT|ALL|.*(BF16|FP16|AMX|AVX10).*", re.IGNORECASE)
"""The values of those under which oneDNN multiplies in bfloat16.
Source: "CPU Dispatcher Control", oneDNN developer guide."""

logger = logging.getLogger(__name__)


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


def has_bfloat16() -> bool:
    """Return whether TensorFlow multiplies in bfloat16 here. Elsewhere it would emulate that, slower than float32."""
    _, flags = describe_processor()
    allowed = all(WITH_BFLOAT16.fullmatch(os.environ.get(name, "")) for name in LIMITS)
    return allowed and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0" and not BFLOAT16.isdisjoint(flags)


def as_computed_here(recipe: Recipe) -> Recipe:
    """Return the recipe as this machine trains it: in float32 where it has no bfloat16, and say so."""
    if recipe.precision == "float32" or has_bfloat16():
        return recipe
    logger.info("This CPU has no bfloat16: training in float32, which takes longer and gives as good a model.")
    return recipe.model_copy(update={"precision": "float32"})
