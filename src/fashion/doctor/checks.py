"""The list of quick checks."""

from collections.abc import Callable, Sequence

from fashion.doctor.environment import check_git, check_packages, check_proxies, check_variables
from fashion.doctor.finding import Finding
from fashion.doctor.machine import check_disk, check_folder, check_memory, check_processor
from fashion.paths import Project

QUICK: Sequence[Callable[[Project], Finding]] = (
    check_packages,
    check_git,
    check_variables,
    check_proxies,
    check_folder,
    check_disk,
    check_memory,
    check_processor,
)
"""A tenth of a second in total: nothing is imported, started or requested over a network."""
