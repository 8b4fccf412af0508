"""What a version's figures say about its limits and what to improve first; nothing that is not in the figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.gates import FAILED, UNDECIDED, Check
from fashion.pages.report.figures import ClassRow, Sureness
from fashion.pages.report.kept import Kept
from fashion.pages.report.mistakes import SURE
from fashion.pages.report.wording import count_of, show_share

MOST_GATES = 10
"""The most gates that are named, the worst first; the table has all."""
EVEN = 1.05
"""A test set whose largest class has at most so many times the images of its smallest is called even."""


@dataclass(frozen=True)
class Point:
    """A finding, in a few words and in figures."""

    title: str
    text: str


def find_improvements(
    kept: Kept, rows: Sequence[ClassRow], counts: NDArray[np.intp], sureness: Sureness
) -> list[Point]:
    """Return what to improve: gates first, then what costs most images."""
    return [
        *_gates(kept),
        *_weakest_class(rows, counts, kept.classes),
        *_most_confused(counts, kept.classes),
        *_sure_mistakes(kept),
        *_calibration(sureness),
        *_training(kept),
    ]


def find_limits(kept: Kept, rows: Sequence[ClassRow], sampled: str) -> list[Point]:
    """Return what the version was measured on, where it abstains, and what its test set says nothing about.

    Args:
        sampled: where the images of the test set come from, in words.
    """
    corrupted = [Point("Corrupted images", kept.robustness.sentence)] if kept.robustness else []
    return [*_coverage(kept, rows, sampled), *_abstention(kept), *corrupted, *_unmeasured(kept)]


def _gates(kept: Kept) -> Iterator[Point]:
    checks = kept.gate.checks if kept.gate else ()
    failed = [check for check in checks if check.verdict == FAILED]
    for check in sorted(failed, key=_missed, reverse=True)[:MOST_GATES]:
        yield Point(f"Failed: {check.title}", f"{_capital(str(check))}.")
    for check in [check for check in checks if check.verdict == UNDECIDED][:MOST_GATES]:
        needed = (
            f" About {count_of(check.needed, check.unit[:-1])} would decide; it was measured on {check.n:,}."
            if (check.needed and check.n)
            else ""
        )
        yield Point(f"Undecided: {check.title}", f"{_capital(str(check))}.{needed}")


def _missed(check: Check) -> float:
    return abs(check.value - check.limit)


def _weakest_class(rows: Sequence[ClassRow], counts: NDArray[np.intp], classes: Sequence[str]) -> Iterator[Point]:
    measured = [(row.recall.value, number) for number, row in enumerate(rows) if row.recall]
    mistakes = int(counts.sum() - np.trace(counts))
    if not measured or not mistakes:
        return
    _, number = min(measured)
    row, missed = rows[number], counts[number].copy()
    missed[number] = 0
    if not missed.sum() or row.recall is None:
        return
    most = int(missed.argmax())
    yield Point(
        f"The weakest class: {row.name}",
        f"Of its {count_of(row.images, 'image')}, {missed.sum():,} are missed, {missed.sum() / mistakes:.1%} of all "
        f"mistakes (recall {show_share(row.recall)}). {missed[most]:,} of them are taken for {classes[most]}.",
    )


def _most_confused(counts: NDArray[np.intp], classes: Sequence[str]) -> Iterator[Point]:
    both = np.triu(counts + counts.T, 1)
    mistakes, images = int(both.sum()), int(counts.sum())
    if not mistakes:
        return
    one, other = (int(place) for place in np.unravel_index(both.argmax(), both.shape))
    found = int(both[one, other])
    accuracy = np.trace(counts) / images
    yield Point(
        f"The largest confusion: {classes[one]} and {classes[other]}",
        f"They are taken for each other in {count_of(found, 'image')}, {found / mistakes:.1%} of all mistakes "
        f"({counts[one, other]:,} of {classes[one]}, {counts[other, one]:,} of {classes[other]}). If it told these two "
        f"apart and all else stayed the same, its accuracy would be {accuracy + found / images:.1%} instead of "
        f"{accuracy:.1%}.",
    )


def _sure_mistakes(kept: Kept) -> Iterator[Point]:
    found = kept.predictions
    sure = found.confidences >= SURE
    if not (wrong := int((sure & ~found.correct).sum())):
        return
    share = proportion_of(wrong, int(sure.sum()))
    yield Point(
        f"Mistakes it was {SURE:.0%} sure of, or more",
        f"{wrong:,} of {count_of(int(sure.sum()), 'such prediction')} ({show_share(share)}), and of "
        f"{count_of(len(found.wrong), 'mistake')}. The section on mistakes shows them first in each pair: look whether "
        "the label or the model is wrong.",
    )


def _calibration(sureness: Sureness) -> Iterator[Point]:
    excess = sureness.excess
    figures = (
        f"It is {sureness.confidence:.1%} sure on average, and right in {sureness.accuracy:.1%}: a difference of "
        f"{100 * excess.value:+.2f} points (interval {100 * excess.low:+.2f} to {100 * excess.high:+.2f}, "
        f"n = {excess.n:,})."
    )
    if excess.low > 0:
        yield Point("It is too sure", figures)
    elif excess.high < 0:
        yield Point("It is not sure enough", figures)


def _training(kept: Kept) -> Iterator[Point]:
    history = kept.history
    if history is None or len(history) < 2:
        return
    last = history.iloc[-1]
    gap = last["accuracy"] - last["validation_accuracy"]
    best = int(history["validation_loss"].argmin())
    if best == len(history) - 1:
        before = history["validation_loss"].iloc[-2]
        yield Point(
            "The validation loss was still falling",
            f"It was lowest in the last of {count_of(len(history), 'epoch')}: {last['validation_loss']:.4f} after "
            f"{before:.4f}. More epochs are worth a try.",
        )
    else:
        lowest = history.iloc[best]
        yield Point(
            "The validation loss had risen again",
            f"It was lowest in epoch {lowest['epoch']:.0f} of {len(history)}: {lowest['validation_loss']:.4f}, and "
            f"{last['validation_loss']:.4f} at the end.",
        )
    if gap > 0:
        yield Point(
            "It knows its training images better than others",
            f"In its last epoch it was right in {last['accuracy']:.1%} of the training images, as they were shown to "
            f"it, and in {last['validation_accuracy']:.1%} of the validation images: {100 * gap:.1f} points more.",
        )


def _coverage(kept: Kept, rows: Sequence[ClassRow], sampled: str) -> Iterator[Point]:
    sizes = [row.images for row in rows]
    missing = [row.name for row in rows if not row.images]
    n = sum(sizes)
    even = min(sizes) and max(sizes) <= EVEN * min(sizes)
    mix = (
        f"about {round(n / len(sizes)):,} of each class"
        if even
        else f"from {min(sizes):,} to {max(sizes):,} of a class; the accuracy holds for this mix of classes"
    )
    yield Point("What it was tested on", f"{count_of(n, 'image')} from {sampled}: {mix}.")
    if missing:
        yield Point(
            "Classes that the test set does not have",
            f"There is no image of {_listed(missing)} in it: nothing is known of how well the model finds them.",
        )
    if kept.lineage.origin.data.synthetic:
        yield Point(
            "Drawn images", "It learned from drawn images and was tested on such: no figure holds for real ones."
        )


def _abstention(kept: Kept) -> Iterator[Point]:
    metrics = kept.metrics
    if "abstained" in metrics:
        n = len(kept.predictions.labels)
        share = proportion_of(round(metrics["abstained"] * n), n)
        answered = metrics.get("accuracy_when_answering")
        accuracy = f" Where it answers, it is right in {answered:.2%}." if answered is not None else ""
        yield Point(
            "Where it does not answer",
            f"It abstains from {share.value:.1%} of the images of the test set (interval {share.low:.1%} to "
            f"{share.high:.1%}, n = {n:,}).{accuracy}",
        )
    kinds = metrics.get("abstained_on") or {}
    if kinds:
        worst = min(kinds, key=lambda kind: float(kinds[kind]))
        yield Point(
            "Noise and textures",
            f"It abstains from {metrics['abstained_on_nonsense']:.1%} of generated noise and textures; least, "
            f"{kinds[worst]:.1%}, from {worst}.",
        )


def _unmeasured(kept: Kept) -> Iterator[Point]:
    metrics = kept.metrics
    if "recent_images" in metrics:
        yield Point(
            "Images from its use",
            f"On {count_of(metrics['recent_images'], 'image')} collected in use it is right in "
            f"{metrics['recent_accuracy']:.1%} (interval {metrics['recent_accuracy_low']:.1%} to "
            f"{metrics['recent_accuracy_high']:.1%}).",
        )
    unmeasured = [
        *([] if "recent_images" in metrics else ["images collected in use"]),
        *([] if kept.robustness else ["blurred, noisy, rotated or otherwise corrupted pictures", "dark images"]),
        "objects of none of its classes that are not noise or a texture",
    ]
    yield Point("Not measured for this version", f"{_capital(_listed(unmeasured))}.")


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_GATES:
        return f"{', '.join(names[:MOST_GATES])} and {len(names) - MOST_GATES} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
