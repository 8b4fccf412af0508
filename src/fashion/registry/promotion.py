"""Which version is champion: by judgement, by hand, or back to an earlier one. Every change goes through the ledger."""

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fashion.adapters import litert, tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import GATES
from fashion.errors import ArtifactError, PromotionError, ServiceError
from fashion.evaluation.gates import FAILED
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.absence import explain_absence
from fashion.registry.gates import needs_force
from fashion.registry.judgement import Judgement
from fashion.registry.proposal import APPROVE, PROPOSE, note_outcome
from fashion.registry.wording import figures_for_tags
from fashion.storage import writing_explained

REGISTER, PROMOTE, ROLLBACK = "register", "promote", "rollback"
LONGEST_REASON = 1000


@dataclass(frozen=True)
class Promotion:
    """Which version is champion now, and which one was before."""

    name: str
    before: str | None
    champion: str
    changed: bool


def promote(project: Project, params: Params, number: str, reason: str, force: bool = False) -> Promotion:
    """Make a version the champion by hand; nothing happens if it already is.

    Raises:
        PromotionError: there is no such version, its gates failed (unless `force`), or it cannot be loaded.
        ServiceError: MLflow is away, or another change came first.
    """
    _check_reason(reason)
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    ledger = tracking.settle(registry)
    version = existing(registry, number)
    decision = tracking.Decision(PROMOTE, version.number, ledger.aliases.with_champion(version.number), reason, force)
    return _enthrone(project, registry, ledger, version, decision)


def roll_back(project: Project, params: Params, number: str | None, reason: str, force: bool = False) -> Promotion:
    """Make an earlier champion the champion again: `number`, or else the last one before the present one.

    A rollback undoes what it passes over, so the next one goes further back, never forward: see `line`. Without a
    number, one that was interrupted is finished, and nothing else happens.

    Raises:
        PromotionError: as `promote`; or the version was never champion, or there was none before.
        ServiceError: as `promote`.
    """
    _check_reason(reason)
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    seen = tracking.read_ledger(registry)
    ledger = tracking.settle(registry)
    finished = _finished_rollback(seen, ledger) if number is None else None
    if number is None:
        number = finished or _predecessor(registry, ledger)
    version = existing(registry, number)
    if version.number not in {change.after.champion for change in ledger.changes}:
        raise PromotionError(
            f"Version {version.number} of {registry.name} was never champion; make it champion with: "
            f"fashion promote {version.number} --reason '...'"
        )
    decision = tracking.Decision(ROLLBACK, version.number, ledger.aliases.with_champion(version.number), reason, force)
    promotion = _enthrone(project, registry, ledger, version, decision)
    return replace(promotion, before=seen.changes[-1].before.champion, changed=True) if finished else promotion


def line(changes: Sequence[tracking.Change]) -> list[str]:
    """Return the champions that led to the present one, oldest first.

    A new champion is appended to the line; a rollback removes everything after its target.
    """
    champions: list[str] = []
    for change in changes:
        champion = change.after.champion
        if champion is None or champion == change.before.champion:
            continue
        if change.action == ROLLBACK and champion in champions:
            del champions[len(champions) - 1 - champions[::-1].index(champion) :]
        champions.append(champion)
    return champions


def judged_line(changes: Sequence[tracking.Change]) -> list[str]:
    """Return the champions since a person last chose one regardless of the judgement, that one first, in order.

    Whoever promotes, rolls back or moves the alias in MLflow has accepted what was lost until then.
    """
    champions: list[str] = []
    for change in changes:
        champion = change.after.champion
        if champion == change.before.champion:
            continue
        if change.action not in (REGISTER, APPROVE):
            champions = []
        if champion is not None:
            champions.append(champion)
    return champions


def decision_about(ledger: tracking.Ledger, version: tracking.Version) -> tracking.Change | None:
    """Return what `register` decided about a version before it was interrupted."""
    actions = (REGISTER, PROPOSE)
    decided = (one for one in ledger.changes if one.action in actions and one.version == version.number)
    return next(decided, None)


def decide(
    ledger: tracking.Ledger, version: tracking.Version, judgement: Judgement, flow_run: str | None, ask_first: bool
) -> tracking.Decision:
    """Decide that a judged version becomes champion, or else challenger; only propose it if a person is to be asked."""
    promoted = judgement.promoted and not ask_first
    champion = version.number if promoted else ledger.aliases.champion
    return tracking.Decision(
        PROPOSE if judgement.promoted and ask_first else REGISTER,
        version.number,
        tracking.Aliases(champion, version.number if champion != version.number else None),
        _shortened(judgement.reason),
        figures=figures_for_tags(judgement),
        flow_run=flow_run,
    )


def _enthrone(
    project: Project,
    registry: tracking.Registry,
    ledger: tracking.Ledger,
    version: tracking.Version,
    decision: tracking.Decision,
) -> Promotion:
    before = ledger.aliases.champion
    if before == version.number:
        note_outcome(registry, ledger, version)  # The process that made it champion may have been killed before that.
        return Promotion(registry.name, before, version.number, changed=False)
    _check_gates(version, registry, decision.forced)
    check_loadable(project, registry, version)
    tracking.record(registry, ledger, decision)
    note_outcome(registry, tracking.read_ledger(registry), version)
    return Promotion(registry.name, before, version.number, changed=True)


def _finished_rollback(seen: tracking.Ledger, settled: tracking.Ledger) -> str | None:
    """Return the version that a rollback made champion after it was seen unfinished; None if there was none."""
    if seen.finished or seen.changes[-1].action != ROLLBACK:
        return None
    target = seen.changes[-1].after.champion
    return target if target == settled.aliases.champion else None


def _predecessor(registry: tracking.Registry, ledger: tracking.Ledger) -> str:
    """Return the last version on the line that is not champion now, and still there."""
    present, kept = ledger.aliases.champion, {version.number for version in tracking.list_versions(registry)}
    found = next((one for one in reversed(line(ledger.changes)) if one != present and one in kept), None)
    if found is None and present is None:
        raise PromotionError(explain_absence(registry))
    if found is None:
        raise PromotionError(f"{registry.name} has no champion before the present one; see: fashion history")
    return found


def existing(registry: tracking.Registry, number: str) -> tracking.Version:
    """Return the version; raises PromotionError if there is none of this number, which MLflow knows as 3 and as 03."""
    version = tracking.get_version(registry, number)
    if version is None:
        known = ", ".join(one.number for one in tracking.list_versions(registry)) or "none"
        raise PromotionError(f"{registry.name} has no version {number} in {registry.uri}; it has: {known}")
    return version


def _check_gates(version: tracking.Version, registry: tracking.Registry, force: bool) -> None:
    if force or not needs_force(version):
        return
    found = "failed its gates" if version.tags.get(GATES) == FAILED else "does not say whether it passed its gates"
    raise PromotionError(
        f"Version {version.number} of {registry.name} {found}; see fashion models. To make it champion all the "
        "same, on record, add --force"
    )


def check_loadable(project: Project, registry: tracking.Registry, version: tracking.Version) -> None:
    """Fetch the version afresh and let it answer: an earlier copy says nothing about what others get."""
    with writing_explained(project.state / "candidate"):
        project.state.mkdir(exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=project.state)
    with place as folder:
        try:
            files = tracking.keep_version(registry, version, Path(folder))
            blank = np.zeros((1, *files.form.shape), np.uint8)
            classes = litert.predict(files.model, blank).probabilities.shape[1]
            with zipfile.ZipFile(files.keras_model) as archive:
                damaged = archive.testzip()
        except (ServiceError, ArtifactError, OSError, zipfile.BadZipFile) as error:
            raise PromotionError(
                f"Version {version.number} of {registry.name} cannot be loaded, so it gets no alias: {error}"
            ) from error
    if classes != len(files.classes) or damaged:
        raise PromotionError(f"Version {version.number} of {registry.name} is damaged, so it gets no alias")


def _shortened(reason: str) -> str:
    """Shorten a judgement's reason, which can be long; the version's tag has all of it."""
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise PromotionError(
            f"A reason is one line of 1 to {LONGEST_REASON:,} characters, found {len(reason):,}; say why with: "
            "--reason 'the new one calls bags shirts'"
        )
