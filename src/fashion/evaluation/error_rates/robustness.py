"""How often the judgement errs about corrupted images and slices.

Two models whose true difference is known answer corrupted copies of a test set as large as the real ones are; how much
the copies of one image are alike is part of the truth. They are judged by the code that judges real models. A candidate
of half the size has won an objective beforehand, so that only the margins can refuse it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans
from fashion.evaluation.estimates import clustered_interval
from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import LOST, Comparison, Evidence, judge
from fashion.evaluation.paired import Difference, exact_difference
from fashion.evaluation.robustness import OnCopies, copies_difference, slice_differences
from fashion.images.corrupted import count_copied
from fashion.images.corruptions import CORRUPTIONS, SEVERITIES
from fashion.params import JudgementParams

ACCURACY = 0.7
"""Of the champion on corrupted images; the interval hardly depends on it."""
DISCORDANT = 0.1
"""Share of the copies on which just one model is right: as measured between two seeds of `compact`."""
ALIKE = (0.0, 0.4, 1.0)
"""How much copies of an image are alike: the probability that a copy is answered as the image is. Between two seeds of
`compact` it is about 0.4; at 1 an image is one piece of evidence, however many copies it has."""
ON_SLICES = 0.95
"""Accuracy of the champion there."""
SMALLEST_IMAGE = (8, 8, 1)


@dataclass(frozen=True)
class Copied:
    """A truth to draw from: the true difference in accuracy on corrupted images."""

    images: int
    """Of the test set."""
    alike: float
    effect: float


@dataclass(frozen=True)
class Sliced:
    """A truth to draw from: the true difference in accuracy on each slice."""

    images: int
    """Of each slice."""
    discordant: float
    effects: tuple[float, ...]


@dataclass(frozen=True)
class CopiedRates:
    """Shares of the drawn test sets."""

    case: Copied
    trials: int
    refused: float
    covered: float
    """How often the interval contains the true difference."""
    refused_by_copies: float
    """If each copy counted as an image of its own."""


def measure_copied(case: Copied, rule: JudgementParams, trials: int, seed: int) -> CopiedRates:
    """Judge `trials` candidates by corrupted copies alone."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(trials):
        candidate, champion = _draw_copies(case, rng)
        clustered = copies_difference(candidate, champion, rule.confidence)
        gains = candidate.values - champion.values
        naive = replace(clustered, high=clustered_interval(gains, np.arange(len(gains)), rule.confidence)[1])
        covered = clustered.low <= case.effect <= clustered.high
        found.append((_refused(rule, corrupted=clustered), covered, _refused(rule, corrupted=naive)))
    refused, inside, by_copies = (float(share) for share in np.mean(found, axis=0))
    return CopiedRates(case, trials, refused, inside, by_copies)


def measure_sliced(case: Sliced, rule: JudgementParams, trials: int, seed: int) -> float:
    """Return how often a candidate is refused for a slice."""
    rng = np.random.default_rng(seed)
    return float(np.mean([_refused(rule, slices=_draw_slices(case, rule, rng)) for _ in range(trials)]))


def _draw_copies(case: Copied, rng: np.random.Generator) -> tuple[OnCopies, OnCopies]:
    count = count_copied(np.empty((case.images, *SMALLEST_IMAGE), np.uint8))
    rows = {name: rng.permutation(case.images)[:count] for name in CORRUPTIONS}
    of_images = _draw_outcomes(case.effect, case.images, rng)
    ours, theirs = {}, {}
    for name, chosen in rows.items():
        shape = (len(SEVERITIES), count)
        own = _draw_outcomes(case.effect, len(SEVERITIES) * count, rng).reshape(2, *shape)
        both = np.where(rng.random(shape) < case.alike, of_images[:, None, chosen], own)
        ours[name], theirs[name] = both[0], both[1]
    return OnCopies(rows, ours), OnCopies(rows, theirs)


def _draw_outcomes(effect: float, count: int, rng: np.random.Generator) -> Booleans:
    """Draw whether candidate and champion are right, (2, count)."""
    return _outcomes(rng.random(count), effect, DISCORDANT, ACCURACY)


def _outcomes(drawn: NDArray[np.float64], effect: float, discordant: float, accuracy: float) -> Booleans:
    """Turn uniform numbers (n,) into whether candidate and champion are right, (2, n); `accuracy` is the champion's."""
    discordant = max(discordant, abs(effect))
    more, fewer = (discordant + effect) / 2, (discordant - effect) / 2
    candidate_only = drawn < more
    champion_only = (drawn >= more) & (drawn < more + fewer)
    shared = (drawn >= more + fewer) & (drawn < more + fewer + (accuracy - fewer))
    return np.stack([candidate_only | shared, champion_only | shared])


def _draw_slices(case: Sliced, rule: JudgementParams, rng: np.random.Generator) -> dict[str, Difference]:
    parts: list[Booleans] = []
    members: dict[str, Booleans] = {}
    for name, effect in zip(rule.slices, case.effects, strict=False):
        members[name] = np.repeat(np.arange(len(case.effects)) == len(parts), case.images)
        parts.append(_outcomes(rng.random(case.images), effect, case.discordant, ON_SLICES))
    correct = np.concatenate(parts, axis=1)
    return slice_differences(members, correct[0], correct[1], rule.confidence)


def _refused(
    rule: JudgementParams, corrupted: Difference | None = None, slices: Mapping[str, Difference] | None = None
) -> bool:
    """Judge a candidate that is half as large, and equal in all else."""
    same = exact_difference(0.0, 0.0)
    test = Comparison("the champion", 1, 0, 0, 1.0, same, {}, corrupted, slices or {})
    evidence = Evidence(test, same, exact_difference(50.0, 100.0), same)
    return any(finding.verdict in LOST for finding in judge(Gate(()), evidence, rule).findings)
