"""Comparing a version with its reproduction: weights and figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Weights:
    """The comparison of two models' arrays."""

    parts: int
    different: tuple[str, ...]
    """Names of the arrays that are not equal bit for bit, or that only one model has."""
    largest_difference: float
    """The largest difference of one weight, among the arrays that both have in the same shape."""

    @property
    def identical(self) -> bool:
        return not self.different


@dataclass(frozen=True)
class Figure:
    """A figure of the version and of the remade model; None if one lacks it."""

    name: str
    version: float | None
    remade: float | None


def compare_weights(version: Arrays, remade: Arrays) -> Weights:
    """Compare arrays by name, shape, type and bits: a NaN equals the same NaN, -0 is not 0."""
    names, shared = sorted(version.keys() | remade.keys()), version.keys() & remade.keys()
    different = [name for name in names if name not in shared or not _same(version[name], remade[name])]
    gaps = [_gap(version[name], remade[name]) for name in different if name in shared]
    return Weights(len(names), tuple(different), max(gaps, default=0.0))


def compare_figures(version: Mapping[str, float], remade: Mapping[str, float]) -> tuple[Figure, ...]:
    """Return the figures side by side, in the version's order."""
    names = dict.fromkeys([*version, *remade])
    return tuple(Figure(name, version.get(name), remade.get(name)) for name in names)


def _same(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def _gap(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    if one.shape != other.shape or not all(np.issubdtype(array.dtype, np.floating) for array in (one, other)):
        return 0.0
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))
