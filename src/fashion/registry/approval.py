"""The answer to a proposed promotion: how a person gives it, and what follows from it.

Nothing in the project's folders counts here, only the registry: a later training may have changed them meanwhile.
"""

from dataclasses import dataclass

from fashion.adapters import orchestration, tracking
from fashion.adapters.tracking.address import registry_of
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.absence import explain_absence
from fashion.registry.judging import read_judgement
from fashion.registry.promotion import LONGEST_REASON, check_loadable, existing
from fashion.registry.proposal import APPROVE, LAPSE, PROPOSE, REFUSE, awaits_approval, note_outcome, present_verdict
from fashion.registry.register import Registration
from fashion.settings import load_settings


@dataclass(frozen=True)
class Answer:
    """What somebody answered to a proposed promotion. Its texts may be long, or have several lines."""

    approved: bool
    who: str
    via: str
    reason: str


def answer(params: Params, run: str, approved: bool, reason: str) -> str:
    """Answer a paused run as this process's user; return how the run ended.

    Args:
        run: the number of a version of this project's model; or model/number, or the run's id or name, of any model.

    Raises:
        ServiceError: Prefect is away, no such run is paused or several are, somebody else answered first, it was too
            late, or the run failed.
    """
    address = load_settings().prefect_api_url
    decision = "approve" if approved else "refuse"
    paused = orchestration.find_paused_run(address, f"{params.register_.name}/{run}" if run.isdecimal() else run)
    form = {"decision": decision, "reason": reason, "who": tracking.author(), "via": f"fashion {decision}"}
    orchestration.resume(address, paused, form)
    return orchestration.await_end(address, paused)


def conclude(project: Project, params: Params, number: str, given: Answer | None, flow_run: str) -> Registration:
    """Carry out the answer about a proposed version, unless it has been settled in another way in the meantime.

    It can be repeated: the first answer counts.

    Args:
        given: none if nobody answered in time.
        flow_run: the name of the Prefect run that asked, for the history.

    Raises:
        PromotionError: the version is gone or cannot be loaded.
        ServiceError: MLflow is away or refused, or another change came first.
    """
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    version = existing(registry, number)
    ledger = tracking.settle(registry)
    if awaits_approval(ledger, number):
        decision = _decision(ledger, params, number, given, flow_run)
        if decision.action == APPROVE:
            check_loadable(project, registry, version)
        tracking.record(registry, ledger, decision)
        ledger = tracking.read_ledger(registry)
    version = note_outcome(registry, ledger, version)
    verdict, reason = present_verdict(ledger, version)
    return Registration(
        name=registry.name,
        version=number,
        run_id=version.run_id,
        created=False,
        verdict=verdict,
        reason=reason,
        judgement=read_judgement(registry, version),
        approval="answered",
        absence=explain_absence(registry) if ledger.aliases.champion is None else None,
    )


def _decision(
    ledger: tracking.Ledger, params: Params, number: str, given: Answer | None, flow_run: str
) -> tracking.Decision:
    """Approve, refuse, or let it lapse: because nobody answered, or the judgement was about another champion."""
    if given is None:
        lapsed = f"nobody answered within {params.register_.approval_days:g} days"
        return tracking.Decision(LAPSE, number, ledger.aliases, lapsed, flow_run=flow_run)
    who, via = _line(given.who) or "somebody", _line(given.via)
    reason = _line(given.reason) or "no reason given"
    judged = next(one for one in ledger.changes if one.action == PROPOSE and one.version == number)
    then, now = judged.before.champion, ledger.aliases.champion
    if given.approved and then != now:
        lapsed = (
            f"approved by {who} ({via}: {reason}), but the champion changed since the judgement: {_name(then)} then, "
            f"{_name(now)} now"
        )
        return tracking.Decision(LAPSE, number, ledger.aliases, lapsed, flow_run=flow_run)
    after = ledger.aliases.with_champion(number) if given.approved else ledger.aliases
    action = APPROVE if given.approved else REFUSE
    figures = judged.figures if given.approved else {}
    return tracking.Decision(action, number, after, reason, figures=figures, flow_run=flow_run, who=who, via=via)


def _name(champion: str | None) -> str:
    return f"version {champion}" if champion else "none"


def _line(text: str) -> str:
    """Return the text as one printable line, no longer than the history keeps."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:LONGEST_REASON]
