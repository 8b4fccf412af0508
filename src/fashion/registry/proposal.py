"""A promotion that awaits a person's word: `register` proposes it; it is approved, refused, or lapses.

The ledger alone decides where it stands; the version's tags repeat that for people.
"""

from fashion.adapters import tracking
from fashion.adapters.tracking.tags import REASON, VERDICT

PROPOSE, APPROVE, REFUSE, LAPSE = "propose", "approve", "refuse", "lapse"
"""Actions of the ledger. All but `approve` leave the champion where it is."""
WORDS = {APPROVE: "approved", REFUSE: "refused", "promote": "promoted", "rollback": "brought back"}


def awaits_approval(ledger: tracking.Ledger, number: str) -> bool:
    """Return whether nothing has happened to the version since it was proposed."""
    changes = _about(ledger, number)
    return bool(changes) and changes[-1].action == PROPOSE


def note_outcome(registry: tracking.Registry, ledger: tracking.Ledger, version: tracking.Version) -> tracking.Version:
    """Write into the version's tags what people decided about it, unless it is there already.

    That is the outcome of a proposal, or that a version was made champion by hand: otherwise its tags would still call
    a refused one challenger, and one that was never judged would be judged against itself.
    """
    changes = _about(ledger, version.number)
    if not changes or changes[-1].action == PROPOSE:
        return version
    verdict = tracking.CHAMPION if changes[-1].after.champion == version.number else tracking.CHALLENGER
    was_proposed, noted = changes[0].action == PROPOSE, version.tags.get(VERDICT)
    left_to_register = noted is None and changes[-1].action == "register"
    if not was_proposed and (noted == verdict or left_to_register):
        return version
    tags = {REASON: _words(changes[-1]), VERDICT: verdict}
    return version if tags.items() <= version.tags.items() else tracking.tag_version(registry, version, tags)


def present_verdict(ledger: tracking.Ledger, version: tracking.Version) -> tuple[str, str]:
    """Return the verdict on a version and the reason, as they hold now: its tags stay when another becomes champion."""
    verdict, reason, champion = version.tags[VERDICT], version.tags[REASON], ledger.aliases.champion
    if verdict != tracking.CHAMPION or champion == version.number:
        return verdict, reason
    since = f"version {champion} has become champion since" if champion else "there is no champion any more"
    return tracking.CHALLENGER, f"{since}; before: {reason}"


def _about(ledger: tracking.Ledger, number: str) -> list[tracking.Change]:
    return [change for change in ledger.changes if change.version == number]


def _words(change: tracking.Change) -> str:
    if change.action == LAPSE:
        return change.reason
    via = f" ({change.via})" if change.via else ""
    force = " although its gates failed" if change.forced else ""
    return f"{WORDS.get(change.action, change.action)} by {change.who}{via}{force}: {change.reason}"
