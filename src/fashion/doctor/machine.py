"""The machine: its processor and memory, the disk, the folder."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote

import psutil

from fashion.adapters.machine import describe_processor
from fashion.doctor.finding import NOTE, PROBLEM, WELL, Finding
from fashion.paths import Project

GIGABYTE = 1e9
DISK_NEEDED = 1.0
"""Gigabytes: artifacts, DVC's cache and a few versions in the registry, besides the environment."""
MEMORY_NEEDED = 2.0
"""Gigabytes: a stage takes up to 1.1, and Prefect's server and the flow run beside it."""


def check_folder(project: Project) -> Finding:
    """Check that this user may write where the project keeps its files."""
    closed = [path for path in (project.root, project.state) if path.exists() and not os.access(path, os.W_OK)]
    if closed:
        user = psutil.Process().username()
        return Finding(
            "folder",
            PROBLEM,
            f"{user} may not write to {closed[0]}",
            f"work as its owner ({_owner(closed[0])}), or change the owner to this user: chown -R {user} "
            f"{quote(str(closed[0]))}",
        )
    foreign = _owned_by_others(project)
    if foreign:
        return Finding(
            "folder",
            PROBLEM,
            f"{foreign} belongs to {_owner(foreign)}: something ran as another user",
            f"make one user the owner of the project: chown -R {psutil.Process().username()} "
            f"{quote(str(project.root))}",
        )
    return Finding("folder", WELL, f"{project.root}")


def _owned_by_others(project: Project) -> Path | None:
    """Return a file under .state that this user cannot write, although the folder is writable."""
    paths = project.state.glob("*") if project.state.is_dir() else ()
    return next((path for path in sorted(paths) if not os.access(path, os.W_OK)), None)


def _owner(path: Path) -> str:
    """Return the name of a file's owner, or the number of one without a name, as in containers and on network disks."""
    try:
        return path.owner()
    except (KeyError, OSError):
        return f"user {path.lstat().st_uid}"


def check_disk(project: Project) -> Finding:
    """Check that there is enough disk space for a training."""
    advice = "free some space; `dvc gc --workspace` removes datasets and artifacts that the current commit does not use"
    return _enough("disk", shutil.disk_usage(project.root).free, DISK_NEEDED, advice)


def check_memory(_: Project) -> Finding:
    """Check that a stage fits into free memory."""
    advice = "end programs that use a lot of it (`make down` stops the services of this project)"
    return _enough("memory", psutil.virtual_memory().available, MEMORY_NEEDED, advice)


def _enough(subject: str, free: int, needed: float, advice: str) -> Finding:
    """Compare free bytes with the gigabytes needed."""
    said = f"{free / GIGABYTE:.1f} GB free"
    if free < needed * GIGABYTE:
        return Finding(subject, PROBLEM, f"{said}; a training needs {needed:.0f} GB", advice)
    return Finding(subject, WELL, said)


def check_processor(_: Project) -> Finding:
    """Check that TensorFlow runs on this processor: its package is built for AVX."""
    name, flags = describe_processor()
    load = psutil.getloadavg()[0]
    cores = psutil.cpu_count() or 1
    if sys.platform == "linux" and os.uname().machine == "x86_64" and "avx" not in flags:
        return Finding("processor", PROBLEM, f"{name} has no AVX, which TensorFlow needs", "use another machine")
    if load > 2 * cores:
        said = f"{name}; {cores} cores are shared by {load:.0f} busy programs: everything takes longer"
        return Finding("processor", NOTE, said, "see which: top")
    return Finding("processor", WELL, f"{name}, {cores} cores")
