"""Why the registry has no champion, what follows from that, and what to do: one text for errors, summaries, Prefect."""

from collections.abc import Sequence
from dataclasses import dataclass

from fashion.adapters import tracking
from fashion.adapters.tracking.tags import GATES, REASON, SYNTHETIC_DATA, VERDICT
from fashion.errors import without_secrets
from fashion.evaluation.gates import FAILED
from fashion.registry.gates import needs_force
from fashion.registry.proposal import awaits_approval
from fashion.text import shorten

NOBODY_ANSWERS = "Until there is one, fashion predict, fashion serve and fashion monitor have no model to answer with."
LAST_ONE_ANSWERS = (
    "Until there is one, fashion predict has no model to answer with; fashion serve and fashion monitor have only the "
    "last champion that was fetched to their machine, if one was."
)
LIMITS = "evaluate.gates in params.yaml, or export.gates for an agreement"


@dataclass(frozen=True)
class Cause:
    """A reason why the registry has no champion that can answer, and the ways to get one, with commands."""

    why: str
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Absence:
    """That the registry has no champion; as text, everything about it for a person."""

    why: str
    """In a sentence."""
    so: str
    """What that means for those who need one; or, where no version is registered, how to get the first."""
    remedies: tuple[str, ...] = ()
    """Each way to get one, with its command, where there are versions."""

    def __str__(self) -> str:
        if not self.remedies:
            return f"{self.why} {self.so}"
        return "\n".join([self.why, self.so, "To get one:", *(f"  - {remedy}" for remedy in self.remedies)])


def explain_absence(registry: tracking.Registry) -> str:
    """Return why no version is champion, what that means for those who need one, and each way to get one.

    Raises:
        ServiceError: MLflow refused, or somebody deleted the history of the aliases.
    """
    versions = tracking.list_versions(registry)
    absence = (
        explain_without_version(registry)
        if not versions
        else explain(registry, tracking.read_ledger(registry), versions)
    )
    return str(absence)


def explain_without_version(registry: tracking.Registry) -> Absence:
    """Return why there is no champion where no version is registered, and how to get one."""
    where = without_secrets(registry.uri)
    return Absence(
        f"{registry.name} has no champion in {where}: no version is registered there under this name.",
        "Train and register one with: make run",
    )


def explain(registry: tracking.Registry, ledger: tracking.Ledger, versions: Sequence[tracking.Version]) -> Absence:
    """Return the same for a registry that has already been read.

    Args:
        versions: at least one, the newest first.
    """
    former = _former_champions(ledger)
    causes = [_explain_former(ledger, former, versions)] if former else []
    awaiting = [version for version in versions if awaits_approval(ledger, version.number)]
    others = {version.number: version for version in (*awaiting, versions[0]) if version.number not in former}
    causes += [_explain_version(ledger, version) for version in others.values()]
    return Absence(
        f"{registry.name} has no champion: {'; '.join(cause.why for cause in causes)}.",
        LAST_ONE_ANSWERS if former else NOBODY_ANSWERS,
        tuple(dict.fromkeys(remedy for cause in causes for remedy in cause.remedies)),
    )


def explain_proposal(ledger: tracking.Ledger, version: tracking.Version) -> tuple[str, tuple[str, ...]]:
    """Return the statement that a version awaits approval, and each way to answer."""
    cause = _explain_version(ledger, version)
    return cause.why, cause.remedies


def _former_champions(ledger: tracking.Ledger) -> list[str]:
    """Return every version that was champion, the last one first."""
    champions = (change.after.champion for change in ledger.changes[::-1])
    return list(dict.fromkeys(number for number in champions if number is not None))


def _explain_former(ledger: tracking.Ledger, former: Sequence[str], versions: Sequence[tracking.Version]) -> Cause:
    """Explain that the champion lost its alias in MLflow, was deleted there, or never got the alias."""
    last, kept = former[0], {version.number: version for version in versions}
    if last in kept and not ledger.finished:
        why = f"version {last} was to become champion, but that change was interrupted"
        return Cause(why, (f"carry it out: {_promote(kept[last], force=False)}",))
    target = next((kept[number] for number in former if number in kept), None)
    lost = "the alias was removed" if last in kept else "the version was deleted"
    why = f"version {last} was champion until {lost} in MLflow"
    if target is None:
        return Cause(why, (_train_another(versions[0]),))
    to = "" if target.number == last else f" --to {target.number}"
    force = " --force" if needs_force(target) else ""
    command = f"fashion rollback{to} --reason '...'{force}"
    return Cause(why, (f"make version {target.number} champion again: {command}",))


def _explain_version(ledger: tracking.Ledger, version: tracking.Version) -> Cause:
    """Explain a version that is not in the history as champion: proposed, not judged to the end, or refused."""
    number, verdict = version.number, version.tags.get(VERDICT)
    by_hand = suggest_promotion(version)
    if awaits_approval(ledger, number):
        answer = f"while its training waits for an answer, give it in Prefect's page or with: fashion approve {number}"
        asked = (answer,) if _was_proposed_in_a_flow(ledger, number) else ()
        return Cause(f"version {number} awaits approval", (*asked, by_hand))
    if verdict is None:
        return Cause(
            f"the registration of version {number} was interrupted", (f"finish it: {run_again(version)}", by_hand)
        )
    if verdict == tracking.CHAMPION:
        return Cause(f"version {number} lost the alias, and the history has no record of that", (by_hand,))
    limits = f"if a limit is stricter than you need ({LIMITS}), change it, then: {run_again(version)}"
    missed = (limits,) if version.tags.get(GATES) == FAILED else ()
    why = f"version {number}, the newest, was refused ({shorten(version.tags.get(REASON, 'no reason is known'))})"
    return Cause(why, (_train_another(version), *missed, by_hand))


def suggest_promotion(version: tracking.Version) -> str:
    """Say how to make a version champion."""
    return f"make version {version.number} champion by hand, on record: {_promote(version, needs_force(version))}"


def _was_proposed_in_a_flow(ledger: tracking.Ledger, number: str) -> bool:
    """Return whether a Prefect run may be waiting for the answer; `fashion register` waits for none."""
    return any(change.version == number and change.flow_run for change in ledger.changes)


def _train_another(version: tracking.Version) -> str:
    return f"try another seed (train.seed in params.yaml) or recipe (train.recipe), then: {run_again(version)}"


def run_again(version: tracking.Version) -> str:
    """Return the command that trains as that version was trained."""
    return "make run DATA=synthetic" if version.tags.get(SYNTHETIC_DATA) == "true" else "make run"


def _promote(version: tracking.Version, force: bool) -> str:
    return f"fashion promote {version.number} --reason '...'{' --force' if force else ''}"
