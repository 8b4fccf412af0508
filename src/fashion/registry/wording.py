"""Judgements in words: why a candidate is promoted or not, and what tags, tables and pages show of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import (
    ACCURACY,
    BETTER,
    BYTES,
    CALIBRATION,
    CORRUPTED,
    ERROR,
    LATENCY,
    LOST,
    MILLISECONDS,
    NOT_COUNTED,
    NOT_SHOWN,
    RECENT,
    SHARE,
    SIZE,
    TOO_FEW,
    Evidence,
    Finding,
    Outcome,
    judge,
)
from fashion.evaluation.paired import UNMEASURED, Difference
from fashion.evaluation.survey import Survey
from fashion.params import JudgementParams
from fashion.registry.judgement import Judgement, Line
from fashion.text import escape_markdown, markdown_table

OVERALL = (ACCURACY, RECENT, CORRUPTED, CALIBRATION, SIZE, LATENCY)
NAMED = 5
"""Classes that a sentence names; there may be 256."""
MOST_ACCURATE = "the most accurate champion so far"


def accept_first(gate: Gate) -> Judgement:
    """Return the judgement where there is no champion: the absolute gates decide alone."""
    return Judgement(not gate.failures, (gate.summary if gate.failures else f"{gate.summary}; there was no champion",))


def refuse(gate: Gate, obstacle: str) -> Judgement:
    """Return the judgement where the candidate cannot be compared with the champion: never a promotion."""
    return Judgement(False, (*_gate_failures(gate), obstacle))


def write_judgement(gate: Gate, evidence: Evidence, rule: JudgementParams) -> Judgement:
    """Judge the candidate by the rule, and say why in words."""
    outcome, test, recent = judge(gate, evidence, rule), evidence.test, evidence.recent
    return Judgement(
        promoted=outcome.promoted,
        reasons=(*_reasons(gate, evidence, outcome, rule), *_on_classes(evidence)),
        champion=test.opponent,
        confidence=rule.confidence,
        images=test.images,
        candidate_only=test.candidate_only,
        champion_only=test.opponent_only,
        mcnemar_p=test.mcnemar_p,
        recent_images=recent.images if recent else 0,
        recent_mcnemar_p=recent.mcnemar_p if recent else 1.0,
        recent_asked=evidence.survey.asked if recent else 0,
        recent_answered=evidence.survey.answered if recent else 0,
        recent_obstacle=_obstacle(outcome.obstacle, rule) if outcome.obstacle else "",
        lines=tuple(_line(finding, test.opponent) for finding in outcome.findings),
        unjudged=evidence.unjudged,
        new_classes=evidence.classes.new,
        lost_classes=evidence.classes.lost,
    )


def _line(finding: Finding, champion: str) -> Line:
    against = "" if finding.opponent == champion else f" against {finding.opponent}"
    found = finding.difference
    return Line(
        f"{finding.figure}{against}",
        finding.unit,
        found.candidate,
        found.champion,
        found.low,
        found.high,
        finding.verdict,
    )


def _reasons(gate: Gate, evidence: Evidence, outcome: Outcome, rule: JudgementParams) -> list[str]:
    champion = evidence.test.opponent
    gains = [finding for finding in outcome.findings if finding.verdict == BETTER]
    if outcome.promoted:
        best = f" or than {evidence.best.opponent}, {MOST_ACCURATE}" if evidence.best else ""
        return [f"{gate.summary}, not worse than {champion}{best}, and better in {_list(gains)}"]
    losses = [finding for finding in outcome.findings if finding.verdict in LOST]
    # Accuracy first, recent images last, and of each figure the champion first.
    losses.sort(key=lambda loss: (loss.figure == RECENT, loss.figure != ACCURACY, loss.opponent != champion))
    tie = [] if gains else [_explain_tie(champion, outcome, rule)]
    return [*_gate_failures(gate), *(_explain_loss(loss, champion) for loss in losses), *tie]


def _on_classes(evidence: Evidence) -> Iterator[str]:
    """Yield what follows from classes that only one of the two knows."""
    classes, champion = evidence.classes, evidence.test.opponent
    if classes.new:
        yield f"new: {_names(classes.new)}, judged by the gates alone, all else on the classes that {champion} knows"
    if classes.lost:
        yield f"no longer known: {_names(classes.lost)}, which {champion} knows; a person has to agree to that"


def _names(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return f"{', '.join(classes[:NAMED])}{more}"


def _gate_failures(gate: Gate) -> list[str]:
    return [gate.summary] if gate.failures else []


def _explain_loss(loss: Finding, champion: str) -> str:
    below = "may be below" if loss.verdict == NOT_SHOWN else "is below"
    theirs = f"{champion}'s" if loss.opponent == champion else f"that of {loss.opponent}, {MOST_ACCURATE},"
    margin = f"the margin of {100 * loss.margin:g} points"
    return f"its {loss.figure} {below} {theirs} by more than {margin}: {explain(loss.difference, loss.unit)}"


def _explain_tie(champion: str, outcome: Outcome, rule: JudgementParams) -> str:
    judged = {one.figure.replace(" ", "_") for one in outcome.findings if one.difference.measured}
    declared = [name.replace("_", " ") for name in rule.objectives.model_dump(include=judged, exclude_none=True)]
    objectives = f"{champion} in any objective ({', '.join(declared) or 'none could be judged'})"
    better = (finding for finding in outcome.findings if finding.verdict == NOT_COUNTED)
    too_little = [one for one in better if (ACCURACY if one.figure == RECENT else one.figure) in declared]
    if not too_little:
        return f"no better than {objectives}"
    return f"not sufficiently better than {objectives}; better, but by too little, in {_list(too_little)}"


def _list(gains: Iterable[Finding]) -> str:
    return "; ".join(f"{gain.figure} ({explain(gain.difference, gain.unit)})" for gain in gains)


def _obstacle(unmet: str, rule: JudgementParams) -> str:
    wanted = rule.recent
    problem = (
        f"fewer than {wanted.images_at_least:,} images"
        if unmet == TOO_FEW
        else f"less than {100 * wanted.response_at_least:g}% of the labels that were asked for have come"
    )
    return f"{problem} (register.judgement.recent.{unmet})"


def rows(judgement: Judgement) -> list[dict[str, str]]:
    """Return the judgement's table, a row for each figure, as text."""
    return [
        {
            "figure": line.figure,
            "candidate": _show(line.candidate, line.unit),
            "champion": _show(line.champion, line.unit),
            "difference": _show_difference(line.candidate - line.champion, line.unit),
            f"{100 * judgement.confidence:g}% interval": _show_interval(line.low, line.high, line.unit),
            "verdict": line.verdict,
        }
        for line in judgement.lines
    ]


def narrow_rows(judgement: Judgement) -> list[dict[str, str]]:
    """Return the table with the verdicts second, for a page that shows half of the columns at once."""
    return [{"figure": row["figure"], "verdict": row["verdict"], **row} for row in rows(judgement)]


def figures_for_tags(judgement: Judgement) -> dict[str, str]:
    """Return the figures that matter most, short enough for tags; none where there was no comparison."""
    if judgement.champion is None:
        return {}
    differences = {
        f"judged_{line.figure.replace(' ', '_')}": explain(
            Difference(line.candidate, line.champion, line.low, line.high), line.unit
        )
        for line in judgement.lines
        if line.figure in OVERALL
    }
    return {"judged_against": judgement.champion, "judged_mcnemar_p": f"{judgement.mcnemar_p:.3g}", **differences}


def summary(judgement: Judgement) -> str:
    """Return one line about the comparison; empty where there was none."""
    if judgement.champion is None:
        return ""
    unjudged = f" Not judged: {'; '.join(judgement.unjudged)}." if judgement.unjudged else ""
    return (
        f"{judgement.images:,} images; only the candidate is right on {judgement.candidate_only:,} of them, only "
        f"{judgement.champion} on {judgement.champion_only:,} (McNemar's exact p = {judgement.mcnemar_p:.3g})."
        f"{_summarise_recent(judgement) if judgement.recent_images else ''}"
        f"{unjudged}"
    )


def _summarise_recent(judgement: Judgement) -> str:
    survey = Survey(judgement.recent_asked, judgement.recent_answered)
    came = f"; {survey} have come" if survey.asked else ""
    obstacle = f". They do not judge: {judgement.recent_obstacle}" if judgement.recent_obstacle else ""
    return f" {judgement.recent_images:,} recent images (p = {judgement.recent_mcnemar_p:.3g}){came}{obstacle}."


def markdown(judgement: Judgement) -> str:
    """Return the judgement as a document."""
    return _document(judgement, rows(judgement))


def narrow_markdown(judgement: Judgement) -> str:
    """Return the document with the table of `narrow_rows`."""
    return _document(judgement, narrow_rows(judgement))


def _document(judgement: Judgement, table: Sequence[Mapping[str, str]]) -> str:
    verdict = "To be promoted" if judgement.promoted else "Not to be promoted"
    parts = [f"**{verdict}**", "\n".join(f"- {escape_markdown(reason)}" for reason in judgement.reasons)]
    if judgement.champion is not None:
        parts += [f"Candidate against {judgement.champion}: {summary(judgement)}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def explain(difference: Difference, unit: str) -> str:
    """Return a difference with its interval, in its unit."""
    interval = _show_interval(difference.low, difference.high, unit)
    return f"{_show_difference(difference.value, unit)}{f', interval {interval}' if interval else ''}"


def _show(value: float, unit: str) -> str:
    texts = {SHARE: f"{value:.2%}", ERROR: f"{value:.4f}", BYTES: f"{value:,.0f} bytes"}
    return texts.get(unit, f"{value:.3f} ms")


def _show_difference(value: float, unit: str) -> str:
    suffixes = {SHARE: " points", BYTES: " bytes", MILLISECONDS: " ms"}
    return f"{_signed(value, unit)}{suffixes.get(unit, '')}"


def _show_interval(low: float, high: float, unit: str) -> str:
    """Return it as text; empty for the bytes of a file, which are exact, and for an error that was not measured."""
    if unit == BYTES or (unit == ERROR and (low, high) == UNMEASURED):
        return ""
    return f"{_signed(low, unit)} to {_signed(high, unit)}"


def _signed(value: float, unit: str) -> str:
    texts = {SHARE: f"{100 * value:+.2f}", ERROR: f"{value:+.4f}", BYTES: f"{value:+,.0f}"}
    return texts.get(unit, f"{value:+.3f}")
