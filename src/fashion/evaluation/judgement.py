"""Candidate against champion: what is compared, the rule, and what it decides, in words for a person.

Which losses are borne and which gains count is in params.yaml (`register.judgement`). The rule follows the practice of
non-inferiority trials: S. Wellek, "Testing statistical hypotheses of equivalence and noninferiority", CRC Press 2010.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fashion.evaluation.gates import Gate
from fashion.evaluation.paired import Difference, Pairs, accuracy_difference, mcnemar, recall_differences
from fashion.evaluation.quantities import (
    BYTES,
    ERROR,
    MILLISECONDS,
    SHARE,
    explain,
    points,
    show,
    show_difference,
    show_interval,
)
from fashion.evaluation.survey import Survey
from fashion.params import JudgementParams, Objectives
from fashion.text import escape_markdown, markdown_table

RECENT = "accuracy on recent images"
OVERALL = ("accuracy", RECENT, "calibration error", "size", "latency")
BETTER, NOT_WORSE, NO_BETTER, NOT_SHOWN, WORSE = "better", "not worse", "no better", "may be worse", "worse"
NOT_COUNTED = "better, but not counted"
"""The whole interval lies on the better side, but not beyond the gain that counts; or the figure is no objective."""
SHOWN_ONLY = "shown only"
"""Of the recent test set, while it does not judge."""
ANY_GAIN = Objectives(accuracy=0, calibration_error=0, size=0, latency=0)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images; each figure with the interval of candidate minus champion."""

    champion: str
    """What to call it in a sentence: version 3."""
    images: int
    candidate_only: int
    champion_only: int
    mcnemar_p: float
    accuracy: Difference
    recalls: Mapping[str, Difference]
    calibration_error: Difference
    size: Difference
    """Bytes."""
    latency: Difference
    """Milliseconds."""
    recent: "Recent | None" = None
    """On images that came in while the champion was in use, if there are any."""
    best: "Best | None" = None
    """Where another champion than the present one was the most accurate so far."""


@dataclass(frozen=True)
class Recent:
    """The two models on the recent test set: images whose label was asked for at random."""

    images: int
    mcnemar_p: float
    accuracy: Difference
    survey: Survey


@dataclass(frozen=True)
class Best:
    """The candidate against the most accurate of the champions so far, on the same images."""

    champion: str
    """What to call it in a sentence: version 2."""
    accuracy: Difference
    recalls: Mapping[str, Difference]


@dataclass(frozen=True)
class Line:
    """One row of the judgement's table."""

    figure: str
    unit: str
    candidate: float
    champion: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Judgement:
    """Whether the candidate becomes champion, why or why not, and the figures behind it, if there was a comparison."""

    promoted: bool
    reasons: tuple[str, ...]
    champion: str | None = None
    confidence: float = 0.0
    images: int = 0
    candidate_only: int = 0
    champion_only: int = 0
    mcnemar_p: float = 1.0
    recent_images: int = 0
    recent_mcnemar_p: float = 1.0
    recent_asked: int = 0
    recent_answered: int = 0
    recent_obstacle: str = ""
    """Why the recent test set does not judge; empty where it does."""
    lines: tuple[Line, ...] = ()

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judgement_from_dict(content: Mapping[str, Any]) -> Judgement:
    lines = tuple(Line(**line) for line in content["lines"])
    return Judgement(**{**content, "reasons": tuple(content["reasons"]), "lines": lines})


def compare(
    champion: str,
    pairs: Pairs,
    classes: Sequence[str],
    calibration_error: Difference,
    size: Difference,
    latency: Difference,
    confidence: float,
) -> Comparison:
    """The comparison that follows from the counts `pairs`, and from what was measured beside them."""
    candidate_only, champion_only = int(pairs.candidate_only.sum()), int(pairs.champion_only.sum())
    recalls = recall_differences(pairs, confidence)
    return Comparison(
        champion=champion,
        images=int(pairs.images.sum()),
        candidate_only=candidate_only,
        champion_only=champion_only,
        mcnemar_p=mcnemar(candidate_only, champion_only),
        accuracy=accuracy_difference(pairs, confidence),
        recalls={classes[label]: difference for label, difference in recalls.items()},
        calibration_error=calibration_error,
        size=size,
        latency=latency,
    )


def add_recent(comparison: Comparison, pairs: Pairs, survey: Survey, confidence: float) -> Comparison:
    """The comparison with that on the recent test set beside it."""
    p = mcnemar(int(pairs.candidate_only.sum()), int(pairs.champion_only.sum()))
    recent = Recent(int(pairs.images.sum()), p, accuracy_difference(pairs, confidence), survey)
    return replace(comparison, recent=recent)


def add_best(comparison: Comparison, champion: str, pairs: Pairs, confidence: float) -> Comparison:
    """The comparison with that against the most accurate champion so far beside it; `pairs` are of the same images."""
    recalls = dict(zip(comparison.recalls, recall_differences(pairs, confidence).values(), strict=True))
    return replace(comparison, best=Best(champion, accuracy_difference(pairs, confidence), recalls))


def accept_first(gate: Gate) -> Judgement:
    """The judgement where there is no champion: the absolute gates decide alone."""
    failures = _gate_failures(gate)
    return Judgement(not failures, tuple(failures) or (f"{gate.summary}; there was no champion",))


def refuse(gate: Gate, obstacle: str) -> Judgement:
    """The judgement where there is a champion to which the candidate cannot be compared: never a promotion."""
    return Judgement(False, (*_gate_failures(gate), obstacle))


def judge(gate: Gate, comparison: Comparison, rule: JudgementParams) -> Judgement:
    """Promoted if no gate failed, nothing may be worse beyond its margin, and an objective is won.

    - Accuracy: the lower end of its interval lies above minus the margin. What is not shown is not believed. The margin
      is wider for a candidate that is shown to be better on the recent test set: it had to learn more.
    - Each class: its simultaneous interval does not lie below minus the margin as a whole.
    - Both against the most accurate champion so far, too: many losses, each within the margin, do not add up.
    - The recent test set, where it is large enough and nearly all labels that were asked for have come: its interval
      does not lie below minus the margin as a whole (it is too small to ask for more), and accuracy as an objective is
      won there, not on the frozen test set: what counts as better is what the model meets now. Before, it is shown, and
      nothing depends on it.
    - An objective is won when the whole interval lies beyond the gain that counts; in accuracy McNemar's exact test
      must say so, too, because the bootstrap is too sure of itself when a handful of images tells the models apart.
    """
    gains = _gains(comparison, rule, rule.objectives)
    losses = [*_gate_failures(gate), *_losses(comparison, rule, gains)]
    tie = [] if gains else [_tie(comparison, rule)]
    refusals, recent = (*losses, *tie), comparison.recent
    return Judgement(
        promoted=not refusals,
        reasons=refusals or (_praise(gate, comparison, gains),),
        champion=comparison.champion,
        confidence=rule.confidence,
        images=comparison.images,
        candidate_only=comparison.candidate_only,
        champion_only=comparison.champion_only,
        mcnemar_p=comparison.mcnemar_p,
        recent_images=recent.images if recent else 0,
        recent_mcnemar_p=recent.mcnemar_p if recent else 1.0,
        recent_asked=recent.survey.asked if recent else 0,
        recent_answered=recent.survey.answered if recent else 0,
        recent_obstacle=_obstacle(recent, rule) if recent else "",
        lines=_lines(comparison, rule, gains),
    )


def _gate_failures(gate: Gate) -> list[str]:
    return [gate.summary] if gate.failures else []


def _losses(comparison: Comparison, rule: JudgementParams, gains: Mapping[str, str]) -> list[str]:
    margins, whose, margin = rule.margins, f"{comparison.champion}'s", _margin(rule, gains)
    opponents: list[tuple[str, Comparison | Best]] = [(whose, comparison)]
    if comparison.best:
        opponents.append((f"that of {comparison.best.champion}, the most accurate champion so far,", comparison.best))
    reasons = [
        f"its accuracy may be below {theirs} by more than the margin of {points(margin)}: "
        f"{explain(found.accuracy, SHARE)}"
        for theirs, found in opponents
        if not _is_not_inferior(found.accuracy, margin)
    ]
    reasons += [
        f"its recall of {name} is below {theirs} by more than the margin of {points(margins.recall_of_a_class)}: "
        f"{explain(recall, SHARE)}"
        for theirs, found in opponents
        for name, recall in found.recalls.items()
        if _is_worse(recall, rule)
    ]
    recent = _judging(comparison, rule)
    if recent and _is_worse_recently(recent, rule):
        reasons.append(
            f"its accuracy on recent images is below {whose} by more than the margin of {points(margins.accuracy)}: "
            f"{explain(recent.accuracy, SHARE)}"
        )
    return reasons


def _judging(comparison: Comparison, rule: JudgementParams) -> Recent | None:
    """The recent test set, if anything may depend on it."""
    return comparison.recent if comparison.recent and not _obstacle(comparison.recent, rule) else None


def _obstacle(recent: Recent, rule: JudgementParams) -> str:
    """Why the recent test set does not judge."""
    wanted = rule.recent
    if recent.images < wanted.images_at_least:
        return f"fewer than {wanted.images_at_least:,} images (register.judgement.recent.images_at_least)"
    if recent.survey.response < wanted.response_at_least:
        return (
            f"less than {wanted.response_at_least:.0%} of the labels that were asked for have come "
            "(register.judgement.recent.response_at_least)"
        )
    return ""


def _is_worse_recently(recent: Recent, rule: JudgementParams) -> bool:
    return recent.accuracy.high < -rule.margins.accuracy


def _margin(rule: JudgementParams, gains: Mapping[str, str]) -> float:
    """Of the accuracy on the frozen test set."""
    return rule.margins.accuracy_for_recent if RECENT in gains else rule.margins.accuracy


def _is_not_inferior(accuracy: Difference, margin: float) -> bool:
    return accuracy.low > -margin


def _is_worse(recall: Difference, rule: JudgementParams) -> bool:
    return recall.high < -rule.margins.recall_of_a_class


def _gains(comparison: Comparison, rule: JudgementParams, declared: Objectives) -> dict[str, str]:
    """The objectives that are won if these gains count, with the figures that show it."""
    accuracy, error, size, latency = declared.accuracy, declared.calibration_error, declared.size, declared.latency
    recent = _judging(comparison, rule)
    name, where = (RECENT, recent) if recent else ("accuracy", comparison)
    significant = where.mcnemar_p < 1 - rule.confidence
    won = {
        name: accuracy is not None and significant and where.accuracy.low > accuracy,
        "calibration error": error is not None and comparison.calibration_error.high < -error,
        "size": size is not None and comparison.size.high < -size * comparison.size.champion,
        "latency": latency is not None and comparison.latency.high < -latency * comparison.latency.champion,
    }
    figures = _figures(comparison)
    return {name: explain(*figures[name]) for name, is_won in won.items() if is_won}


def _figures(comparison: Comparison) -> dict[str, tuple[Difference, str]]:
    recent = {RECENT: (comparison.recent.accuracy, SHARE)} if comparison.recent else {}
    return {
        "accuracy": (comparison.accuracy, SHARE),
        **recent,
        "calibration error": (comparison.calibration_error, ERROR),
        "size": (comparison.size, BYTES),
        "latency": (comparison.latency, MILLISECONDS),
    }


def _tie(comparison: Comparison, rule: JudgementParams) -> str:
    objectives = f"{comparison.champion} in any objective ({_objectives(rule)})"
    any_gain = Objectives(**dict.fromkeys(rule.objectives.model_dump(exclude_none=True), 0))
    if too_little := _gains(comparison, rule, any_gain):
        told = "; ".join(f"{name} ({figures})" for name, figures in too_little.items())
        return f"not better enough than {objectives}, but better by too little in {told}"
    return f"no better than {objectives}"


def _objectives(rule: JudgementParams) -> str:
    declared = rule.objectives.model_dump(exclude_none=True)
    return ", ".join(name.replace("_", " ") for name in declared)


def _praise(gate: Gate, comparison: Comparison, gains: Mapping[str, str]) -> str:
    won = "; ".join(f"{name} ({figures})" for name, figures in gains.items())
    best = f" or than {comparison.best.champion}, the most accurate champion so far" if comparison.best else ""
    return f"{gate.summary}, not worse than {comparison.champion}{best}, and better in {won}"


def _lines(comparison: Comparison, rule: JudgementParams, gains: Mapping[str, str]) -> tuple[Line, ...]:
    better = dict.fromkeys(_gains(comparison, rule, ANY_GAIN), NOT_COUNTED) | dict.fromkeys(gains, BETTER)
    margin = _margin(rule, gains)
    kept = {"accuracy": _kept(comparison.accuracy, margin)}
    recent = _judging(comparison, rule)
    kept[RECENT] = SHOWN_ONLY if recent is None else WORSE if _is_worse_recently(recent, rule) else NO_BETTER
    overall = [
        _line(name, unit, difference, better.get(name) or kept.get(name, NO_BETTER))
        for name, (difference, unit) in _figures(comparison).items()
    ]
    recalls = [
        _line(f"recall of {name}", SHARE, recall, WORSE if _is_worse(recall, rule) else NOT_WORSE)
        for name, recall in comparison.recalls.items()
    ]
    best = [*_lines_against_best(comparison.best, rule, margin)] if comparison.best else []
    accuracies = 2 if comparison.recent else 1
    return (overall[0], *best, *overall[1:accuracies], *recalls, *overall[accuracies:])


def _lines_against_best(best: Best, rule: JudgementParams, margin: float) -> Iterator[Line]:
    """Of the classes only those that are worse: the others stand there against the champion."""
    yield _line(f"accuracy against {best.champion}", SHARE, best.accuracy, _kept(best.accuracy, margin))
    for name, recall in best.recalls.items():
        if _is_worse(recall, rule):
            yield _line(f"recall of {name} against {best.champion}", SHARE, recall, WORSE)


def _kept(accuracy: Difference, margin: float) -> str:
    return NOT_WORSE if _is_not_inferior(accuracy, margin) else NOT_SHOWN


def _line(figure: str, unit: str, difference: Difference, verdict: str) -> Line:
    return Line(figure, unit, difference.candidate, difference.champion, difference.low, difference.high, verdict)


def rows(judgement: Judgement) -> list[dict[str, str]]:
    """The judgement's table, a row a figure, as text."""
    return [
        {
            "figure": line.figure,
            "candidate": show(line.candidate, line.unit),
            "champion": show(line.champion, line.unit),
            "difference": show_difference(line.candidate - line.champion, line.unit),
            f"{judgement.confidence:.0%} interval": show_interval(line.low, line.high, line.unit),
            "verdict": line.verdict,
        }
        for line in judgement.lines
    ]


def figures(judgement: Judgement) -> dict[str, str]:
    """The figures that matter most, short enough for tags; none where there was no comparison."""
    if judgement.champion is None:
        return {}
    differences = {
        line.figure.replace(" ", "_"): explain(
            Difference(line.candidate, line.champion, line.low, line.high), line.unit
        )
        for line in judgement.lines
        if line.figure in OVERALL
    }
    return {
        "judged_against": judgement.champion,
        "judged_mcnemar_p": f"{judgement.mcnemar_p:.3g}",
        **{f"judged_{name}": text for name, text in differences.items()},
    }


def summary(judgement: Judgement) -> str:
    """One line about the comparison; empty where there was none."""
    if judgement.champion is None:
        return ""
    return (
        f"{judgement.images:,} images; only the candidate is right on {judgement.candidate_only:,} of them, only "
        f"{judgement.champion} on {judgement.champion_only:,} (McNemar's exact p = {judgement.mcnemar_p:.3g})."
        f"{_summarise_recent(judgement) if judgement.recent_images else ''}"
    )


def _summarise_recent(judgement: Judgement) -> str:
    survey = Survey(judgement.recent_asked, judgement.recent_answered)
    came = f"; {survey} have come" if survey.asked else ""
    obstacle = f". They do not judge: {judgement.recent_obstacle}" if judgement.recent_obstacle else ""
    return f" {judgement.recent_images:,} recent images (p = {judgement.recent_mcnemar_p:.3g}){came}{obstacle}."


def markdown(judgement: Judgement) -> str:
    """The judgement as a document."""
    return _document(judgement, rows(judgement))


def narrow_markdown(judgement: Judgement) -> str:
    """The same with the verdicts in the second column, for a page that shows half of the columns at once."""
    verdicts_first = [{"figure": row["figure"], "verdict": row["verdict"], **row} for row in rows(judgement)]
    return _document(judgement, verdicts_first)


def _document(judgement: Judgement, table: Sequence[Mapping[str, str]]) -> str:
    verdict = "To be promoted" if judgement.promoted else "Not to be promoted"
    parts = [f"**{verdict}**", "\n".join(f"- {escape_markdown(reason)}" for reason in judgement.reasons)]
    if judgement.champion is not None:
        parts += [f"Candidate against {judgement.champion}: {summary(judgement)}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"
