"""That files of the champion are gone from MLflow, what follows from that, and what to do."""

from collections.abc import Sequence

from fashion.adapters import tracking
from fashion.errors import without_secrets
from fashion.registry.absence import Cause, run_again, suggest_promotion

LOOKED_AT = 5
"""Other versions whose files are looked for, the newest first."""


def find_loss(
    registry: tracking.Registry, champion: tracking.Version, versions: Sequence[tracking.Version]
) -> Cause | None:
    """Return what of the champion is gone, what that means, and each way out; None where it can answer.

    Args:
        versions: all of the model, the newest first.

    Raises:
        ServiceError: MLflow is away or refused.
    """
    missing = tracking.find_missing(registry, champion)
    if not missing:
        return None
    where = without_secrets(tracking.find_folder(registry, champion))
    why = (
        f"Files of version {champion.number}, the champion, are gone from {where}: {', '.join(missing)}. What has a "
        "copy on its machine goes on answering with it; nothing else can answer, and no candidate can be compared."
    )
    return Cause(why, (f"restore the files in {where}", _replace(registry, champion, versions)))


def _replace(registry: tracking.Registry, champion: tracking.Version, versions: Sequence[tracking.Version]) -> str:
    """Say how to get another champion: a version whose files are there, else one that is registered anew."""
    others = [version for version in versions if version.number != champion.number][:LOOKED_AT]
    whole = next((version for version in others if not tracking.find_missing(registry, version)), None)
    if whole:
        return suggest_promotion(whole)
    return f"or delete version {champion.number} in MLflow, and register what is in artifacts/: {run_again(champion)}"
