"""How good a model is on corrupted images and on slices of a test set, alone and beside another model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, Floats, LabelledImages
from fashion.evaluation.estimates import CONFIDENCE, Estimate, clustered_interval, proportion, raise_confidence
from fashion.evaluation.paired import Difference, score_interval
from fashion.images.corrupted import make_copies
from fashion.images.corruptions import CORRUPTIONS, SEVERITIES
from fashion.images.slices import Slice


@dataclass(frozen=True)
class OnCopies:
    """Whether a model was right about each corrupted copy, by corruption."""

    rows: Mapping[str, NDArray[np.int64]]
    """Which images of the test set were copied, (n,)."""
    correct: Mapping[str, Booleans]
    """(severities, n)."""

    @property
    def values(self) -> Floats:
        """1 for each copy that is right, 0 for each that is not, (copies,)."""
        return np.concatenate([correct.ravel() for correct in self.correct.values()]).astype(float)

    @property
    def images(self) -> NDArray[np.int64]:
        """Which image each of them is a copy of, (copies,)."""
        return np.concatenate([np.tile(rows, len(SEVERITIES)) for rows in self.rows.values()])

    def among(self, kept: Booleans) -> "OnCopies":
        """Return the copies of some images of the test set alone; `kept` is (n,), one element for each image."""
        correct = {name: right[:, kept[self.rows[name]]] for name, right in self.correct.items()}
        return OnCopies({name: rows[kept[rows]] for name, rows in self.rows.items()}, correct)


def answer_copies(predict: Callable[[Bytes], NDArray[np.intp]], test: LabelledImages) -> OnCopies:
    """Let a model classify the corrupted copies of the test images; `predict` returns the class of each image."""
    rows, correct = {}, {}
    for copies in make_copies(test.images):
        right = predict(copies.images).reshape(len(SEVERITIES), -1) == test.labels[copies.rows]
        rows[copies.corruption], correct[copies.corruption] = copies.rows, right
    return OnCopies(rows, correct)


def mean_accuracy(found: OnCopies) -> Estimate:
    """Return the accuracy over all corruptions and severities, each alike; n is the number of different images."""
    # On the scale of `clustered_interval`, from -1 to 1.
    low, high = clustered_interval(2 * found.values - 1, found.images, CONFIDENCE)
    return Estimate(float(found.values.mean()), (1 + low) / 2, (1 + high) / 2, len(np.unique(found.images)))


def copies_difference(candidate: OnCopies, champion: OnCopies, confidence: float) -> Difference:
    """Return the difference in accuracy over all corruptions; both models answered the same copies.

    All copies of an image are one cluster, so thousands of copies are not taken for thousands of images.
    """
    low, high = clustered_interval(candidate.values - champion.values, candidate.images, confidence)
    return Difference(float(candidate.values.mean()), float(champion.values.mean()), low, high)


def slice_differences(
    members: Mapping[str, Booleans], candidate_correct: Booleans, champion_correct: Booleans, confidence: float
) -> dict[str, Difference]:
    """Return the difference in accuracy on each slice that has images; the intervals hold jointly (Bonferroni).

    Tango's score intervals, as for the recalls of classes: they keep their level on a handful of images.

    Args:
        members: by slice, which images belong to it, (n,) as the other two.
    """
    present = {name: chosen for name, chosen in members.items() if chosen.any()}
    if not present:
        return {}
    columns = np.column_stack(list(present.values()))

    def count(chosen: Booleans) -> NDArray[np.int64]:
        return np.asarray((columns & chosen[:, None]).sum(axis=0))

    more, fewer = count(candidate_correct & ~champion_correct), count(champion_correct & ~candidate_correct)
    images, raised = columns.sum(axis=0), raise_confidence(confidence, len(present))
    low, high = score_interval(more, fewer, images, raised)
    ours, theirs = count(candidate_correct) / images, count(champion_correct) / images
    return {
        name: Difference(*map(float, figures)) for name, *figures in zip(present, ours, theirs, low, high, strict=True)
    }


def describe_copies(found: OnCopies) -> dict[str, Any]:
    """Return the table of the corrupted images, as it is kept in a file."""
    rows = [
        {"corruption": name, "severity": severity, "strength": CORRUPTIONS[name].strengths[severity - 1]}
        | _of(proportion(correct[severity - 1]))
        for name, correct in found.correct.items()
        for severity in SEVERITIES
    ]
    meanings = {name: CORRUPTIONS[name].meaning for name in found.correct}
    return {"mean": _of(mean_accuracy(found)), "meanings": meanings, "rows": rows}


def describe_slices(
    slices: Sequence[Slice], members: Mapping[str, Booleans], correct: Booleans
) -> list[dict[str, Any]]:
    """Return the table of the slices, as it is kept in a file; the intervals hold jointly for all that have images."""
    filled = sum(chosen.any() for chosen in members.values())
    confidence = raise_confidence(CONFIDENCE, max(1, int(filled)))
    return [asdict(one) | _of(proportion(correct[members[one.name]], confidence)) for one in slices]


def _of(share: Estimate) -> dict[str, Any]:
    """Return the figures of a share; without images there is none."""
    if not share.n:
        return {"images": 0, "accuracy": None, "low": None, "high": None}
    return {"images": share.n, "accuracy": share.value, "low": share.low, "high": share.high}
