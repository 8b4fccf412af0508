"""Candidate against champion: what is compared, and the rule that decides.

Which losses are borne and which gains count is in params.yaml (`register.judgement`). The rule follows the practice of
non-inferiority trials: S. Wellek, "Testing statistical hypotheses of equivalence and noninferiority", CRC Press 2010.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fashion.evaluation.class_names import NO_CLASSES, SharedClasses
from fashion.evaluation.gates import Gate
from fashion.evaluation.paired import Difference, Pairs, accuracy_difference, mcnemar, recall_differences
from fashion.evaluation.survey import NOBODY_ASKED, Survey
from fashion.images.slices import WORDS
from fashion.params import JudgementParams

ACCURACY, RECENT = "accuracy", "accuracy on recent images"
CORRUPTED = "accuracy on corrupted images"
CALIBRATION, SIZE, LATENCY = "calibration error", "size", "latency"
SHARE, ERROR, BYTES, MILLISECONDS = "share", "error", "bytes", "milliseconds"
BETTER, NOT_WORSE, NO_BETTER, NOT_SHOWN, WORSE = "better", "not worse", "no better", "may be worse", "worse"
NOT_COUNTED = "better, but not counted"
"""The whole interval lies on the better side, but not beyond the gain that counts; or the figure is no objective."""
SHOWN_ONLY = "shown only"
"""Of the recent test set, while it does not judge, and of calibration that could not be judged."""
LOST = (NOT_SHOWN, WORSE)
TOO_FEW, UNANSWERED = "images_at_least", "response_at_least"
"""Why the recent test set does not judge: the parameter of `register.judgement.recent` that it does not meet."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images; each difference is candidate minus opponent, with its interval."""

    opponent: str
    """What to call it in a sentence: version 3."""
    images: int
    candidate_only: int
    opponent_only: int
    mcnemar_p: float
    accuracy: Difference
    recalls: Mapping[str, Difference]
    corrupted: Difference | None = None
    """Of the mean accuracy over corrupted copies of these images, where they were shown to both."""
    slices: Mapping[str, Difference] = field(default_factory=dict)
    """Of the accuracy on the declared slices that have images, by name."""


@dataclass(frozen=True)
class Evidence:
    """What a judgement rests on."""

    test: Comparison
    """With the champion, on the frozen test set."""
    calibration_error: Difference
    size: Difference
    """Bytes."""
    latency: Difference
    """Milliseconds."""
    recent: Comparison | None = None
    """With the champion, on images that came in while it was in use and whose label was asked for at random."""
    survey: Survey = NOBODY_ASKED
    """How many of the labels that were asked for have come."""
    best: Comparison | None = None
    """With the most accurate champion so far, on the frozen test set, where that is not the present one."""
    unjudged: tuple[str, ...] = ()
    """What was to be judged and could not be, with the reason, in words."""
    classes: SharedClasses = NO_CLASSES
    """Only the images of shared classes were compared. New ones are judged by the gates, lost ones by a person."""


@dataclass(frozen=True)
class Finding:
    """What the rule says about one figure."""

    figure: str
    unit: str
    difference: Difference
    verdict: str
    opponent: str
    margin: float = 0.0
    """The loss that would be borne."""


@dataclass(frozen=True)
class Outcome:
    """Whether the candidate is to be promoted, by what was found about each figure."""

    promoted: bool
    findings: tuple[Finding, ...]
    obstacle: str | None
    """Why the recent test set does not judge; None where it does, or where there is none."""


def compare(opponent: str, pairs: Pairs, classes: Sequence[str], confidence: float) -> Comparison:
    """Compare two models by the counts of a test set."""
    candidate_only, opponent_only = int(pairs.candidate_only.sum()), int(pairs.champion_only.sum())
    return Comparison(
        opponent=opponent,
        images=int(pairs.images.sum()),
        candidate_only=candidate_only,
        opponent_only=opponent_only,
        mcnemar_p=mcnemar(candidate_only, opponent_only),
        accuracy=accuracy_difference(pairs, confidence),
        recalls={classes[label]: recall for label, recall in recall_differences(pairs, confidence).items()},
    )


def judge(gate: Gate, evidence: Evidence, rule: JudgementParams) -> Outcome:
    """Promote if no gate failed, nothing may be worse beyond its margin, and an objective is won.

    - Accuracy: the lower end of its interval lies above minus the margin. What is not shown is not believed. The margin
      is wider for a candidate that is shown to be better on the recent test set: it had to learn more.
    - Each class: its simultaneous interval does not lie below minus the margin as a whole.
    - Corrupted images, and each declared slice: like a class. A slice without images is not judged, and is named.
    - All against the most accurate champion so far, too: many losses, each within the margin, do not add up.
    - The recent test set, where it is large enough and nearly all labels that were asked for have come: its interval
      does not lie below minus the margin as a whole (it is too small to ask for more), and accuracy as an objective is
      won there, not on the frozen test set: what counts as better is what the model meets now. Before, it is shown, and
      nothing depends on it.
    - An objective is won when the whole interval lies beyond the gain that counts; in accuracy McNemar's exact test
      must say so, too, because the bootstrap is too sure of itself when a handful of images tells the models apart.
    """
    obstacle = _obstacle(evidence.recent, evidence.survey, rule) if evidence.recent else None
    findings = tuple(_findings(evidence, rule, recent_judges=evidence.recent is not None and obstacle is None))
    verdicts = {finding.verdict for finding in findings}
    promoted = not gate.failures and BETTER in verdicts and verdicts.isdisjoint(LOST)
    return Outcome(promoted, findings, obstacle)


def _obstacle(recent: Comparison, survey: Survey, rule: JudgementParams) -> str | None:
    if recent.images < rule.recent.images_at_least:
        return TOO_FEW
    return UNANSWERED if survey.response < rule.recent.response_at_least else None


def _findings(evidence: Evidence, rule: JudgementParams, recent_judges: bool) -> Iterator[Finding]:
    """Yield them in the order of the table. Of the best champion's accuracy, and else only what is worse."""
    test, wanted = evidence.test, rule.objectives
    recent = [_on_recent(evidence.recent, rule, recent_judges)] if evidence.recent else []
    learned_more = any(finding.verdict == BETTER for finding in recent)
    margin = rule.margins.accuracy_for_recent if learned_more else rule.margins.accuracy
    gain = 0.0 if recent_judges else _shown_gain(test, rule)
    yield _accuracy(test, margin, _verdict(gain, wanted.accuracy, _kept(test, margin)))
    if best := evidence.best:
        yield _accuracy(best, margin, _kept(best, margin))
        yield from (finding for finding in _parts(best, rule) if finding.verdict == WORSE)
    yield from recent
    yield from _parts(test, rule)
    calibration = evidence.calibration_error
    otherwise = NO_BETTER if calibration.measured else SHOWN_ONLY
    verdict = _verdict(-calibration.high, wanted.calibration_error, otherwise)
    yield Finding(CALIBRATION, ERROR, calibration, verdict, test.opponent)
    for figure, unit, difference, counts_from in (
        (SIZE, BYTES, evidence.size, _times(wanted.size, evidence.size.champion)),
        (LATENCY, MILLISECONDS, evidence.latency, _times(wanted.latency, evidence.latency.champion)),
    ):
        yield Finding(figure, unit, difference, _verdict(-difference.high, counts_from, NO_BETTER), test.opponent)


def _accuracy(comparison: Comparison, margin: float, verdict: str) -> Finding:
    return Finding(ACCURACY, SHARE, comparison.accuracy, verdict, comparison.opponent, margin)


def _kept(comparison: Comparison, margin: float) -> str:
    return NOT_WORSE if comparison.accuracy.low > -margin else NOT_SHOWN


def _on_recent(recent: Comparison, rule: JudgementParams, judges: bool) -> Finding:
    margin = rule.margins.accuracy
    otherwise = WORSE if recent.accuracy.high < -margin else NO_BETTER
    verdict = _verdict(_shown_gain(recent, rule), rule.objectives.accuracy, otherwise) if judges else SHOWN_ONLY
    return Finding(RECENT, SHARE, recent.accuracy, verdict, recent.opponent, margin)


def _parts(comparison: Comparison, rule: JudgementParams) -> Iterator[Finding]:
    """Yield what must not be certainly worse: corrupted images, slices, and classes."""
    margins = rule.margins
    corrupted, slices, recalls = comparison.corrupted, comparison.slices, comparison.recalls
    parts = [
        *([(CORRUPTED, corrupted, margins.corrupted_accuracy)] if corrupted else []),
        *((f"accuracy on {WORDS[name]}", one, margins.accuracy_of_a_slice) for name, one in slices.items()),
        *((f"recall of {name}", one, margins.recall_of_a_class) for name, one in recalls.items()),
    ]
    for figure, difference, margin in parts:
        verdict = WORSE if difference.high < -margin else NOT_WORSE
        yield Finding(figure, SHARE, difference, verdict, comparison.opponent, margin)


def _shown_gain(comparison: Comparison, rule: JudgementParams) -> float:
    """Return the gain in accuracy that is shown: the lower end of its interval, or none."""
    return comparison.accuracy.low if comparison.mcnemar_p < 1 - rule.confidence else 0.0


def _times(share: float | None, champion: float) -> float | None:
    return None if share is None else share * champion


def _verdict(gain: float, counts_from: float | None, otherwise: str) -> str:
    """Return whether a gain that is shown is one that counts; `counts_from` is None for what is no objective."""
    if counts_from is not None and gain > counts_from:
        return BETTER
    return NOT_COUNTED if gain > 0 else otherwise
