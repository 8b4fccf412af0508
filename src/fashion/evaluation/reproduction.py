"""A version and what was made again in its place: weights, figures, and what may explain a difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]

BEFORE_THE_MODEL = ("validate", "prepare", "train")
"""The stages that decide what the weights become."""
MACHINE = {
    "system": "system",
    "processor": "processor",
    "cpus": "CPUs, among which TensorFlow divides its sums",
    "python": "Python",
}


@dataclass(frozen=True)
class Weights:
    """How two models' arrays compare."""

    parts: int
    different: tuple[str, ...]
    """Names of the arrays that are not equal bit by bit, or that only one model has."""
    largest_difference: float
    """Of one weight, among the arrays that both have in the same shape."""

    @property
    def identical(self) -> bool:
        return not self.different


@dataclass(frozen=True)
class Figure:
    """A figure of the version and of the remade model; None where one has none."""

    name: str
    version: float | None
    remade: float | None


def compare_weights(version: Arrays, remade: Arrays) -> Weights:
    """Compare arrays by name, shape, type and bits: a NaN equals the same NaN, -0 is not 0."""
    names = sorted(version.keys() | remade.keys())
    different = [name for name in names if not _same(version.get(name), remade.get(name))]
    gaps = [_gap(version[name], remade[name]) for name in different if name in version and name in remade]
    return Weights(len(names), tuple(different), max(gaps, default=0.0))


def compare_figures(version: Mapping[str, float], remade: Mapping[str, float]) -> tuple[Figure, ...]:
    """Figures side by side, in the version's order."""
    names = dict.fromkeys([*version, *remade])
    return tuple(Figure(name, version.get(name), remade.get(name)) for name in names)


def likely_causes(version: Mapping[str, Any], remade: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two lineages (as `fashion.registry.lineage.describe` gives them) and may change weights."""
    return (
        *_inputs(version["pipeline"], remade["pipeline"]),
        *(f"changed when it was registered, and not kept: {path}" for path in version["code"]["left_out"]),
        *_machine(version["machine"], remade["machine"]),
        *_packages(version["machine"], remade["machine"]),
        *_lock(version, remade),
    )


def _same(one: NDArray[np.generic] | None, other: NDArray[np.generic] | None) -> bool:
    if one is None or other is None:
        return False
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def _gap(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    if one.shape != other.shape or not all(np.issubdtype(array.dtype, np.floating) for array in (one, other)):
        return 0.0
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def _inputs(version: Mapping[str, Any], remade: Mapping[str, Any]) -> Iterator[str]:
    """What the stages depended on by the version's dvc.lock, against what its commit and changes have."""
    told: set[str] = set()
    for stage in BEFORE_THE_MODEL:
        for kind in ("dependencies", "parameters"):
            then, now = (pipeline.get(stage, {}).get(kind, {}) for pipeline in (version, remade))
            for name in sorted(then.keys() | now.keys()):
                if then.get(name) != now.get(name) and name not in told:
                    told.add(name)
                    yield (
                        f"{name}, an input of {stage}: {_brief(then.get(name))} when it was trained, "
                        f"{_brief(now.get(name))} when it was registered"
                    )


def _machine(version: Mapping[str, Any], remade: Mapping[str, Any]) -> Iterator[str]:
    for name, meaning in MACHINE.items():
        if version[name] != remade[name]:
            yield f"{meaning}: {version[name]}, here {remade[name]}"
    then, now = set(version["instructions"]), set(remade["instructions"])
    if missing := sorted(then - now):
        yield f"CPU instructions that are not here: {', '.join(missing)}"
    if added := sorted(now - then):
        yield f"CPU instructions that are only here: {', '.join(added)}"
    for name in sorted(version["variables"].keys() | remade["variables"].keys()):
        then_set, now_set = (one["variables"].get(name, "not set") for one in (version, remade))
        if then_set != now_set:
            yield f"variable {name}: {then_set}, here {now_set}"


def _packages(version: Mapping[str, Any], remade: Mapping[str, Any]) -> Iterator[str]:
    for name, number in version["packages"].items():
        here = remade["packages"].get(name)
        if here != number:
            yield f"{name} {number}, here {here or 'none'}"


def _lock(version: Mapping[str, Any], remade: Mapping[str, Any]) -> Iterator[str]:
    if version["requirements_sha256"] != remade["requirements_sha256"]:
        then, now = (str(one["requirements_sha256"])[:12] for one in (version, remade))
        yield f"requirements.lock: SHA-256 {then}, here {now}; a clone of that commit, set up, has the packages of then"


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
