"""How long a training takes, as far as the last one tells."""

from fashion.paths import TRAINING, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json

SECONDS_PER_MINUTE = 60


def seconds_of_last_training(project: Project, recipe: str) -> float | None:
    """Return how long the last training took, if it was of the recipe with this name."""
    try:
        training = load_json(project.model / TRAINING, LARGEST_ARTIFACT_BYTES)
    except (OSError, ValueError):
        return None
    if not isinstance(training, dict) or training.get("recipe") != recipe:
        return None
    seconds = training.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
