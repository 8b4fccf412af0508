"""Training with every size and every seed of a learning curve."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from fashion.errors import TrainingError
from fashion.experiments.learning_curve.kept import KeptTrainings
from fashion.experiments.learning_curve.results import Curve, curve_of
from fashion.experiments.learning_curve.subject import Subject
from fashion.experiments.trial import Job, Outcome, Progress, train_apart
from fashion.paths import Project
from fashion.storage import folder_digest


def kept_trainings(project: Project, subject: Subject) -> KeptTrainings:
    """Return where the outcomes are kept: they count only for the same data, recipe and release."""
    about = {
        "dataset": folder_digest(project.dataset),
        "recipe": subject.recipe.model_dump(mode="json"),
        "classes": subject.classes,
        "release": version("fashion"),
    }
    return KeptTrainings(project, about)


@dataclass(frozen=True)
class Watch:
    """Callbacks of whoever watches."""

    on_epoch: Callable[[int, int, Progress], None]
    """Called after each epoch with size and seed."""
    on_training: Callable[[int, int, Outcome], None]
    """Called with size and seed for each training, also for those that were done before."""


def measure(project: Project, subject: Subject, watch: Watch) -> Curve:
    """Train with every size and seed, but for what is done already, and return the curve.

    Raises:
        TrainingError: one of the trainings failed; what was done before it is kept.
    """
    kept = kept_trainings(project, subject)
    outcomes: dict[tuple[int, int], Outcome] = {}
    for size, seed in subject.trainings:
        found = kept.load(size, seed)
        if found is None or len(found.right) != subject.validated:
            found = _train(project, subject, size, seed, watch)
            kept.save(size, seed, found)
        outcomes[size, seed] = found
        watch.on_training(size, seed, found)
    return curve_of(subject, outcomes)


def _train(project: Project, subject: Subject, size: int, seed: int, watch: Watch) -> Outcome:
    def on_epoch(progress: Progress) -> bool:
        watch.on_epoch(size, seed, progress)
        return False

    try:
        return train_apart(Job(project.root, subject.recipe_for(size), subject.classes, seed, size), on_epoch)
    except TrainingError as error:
        raise TrainingError(
            f"The training of {subject.name} on {size:,} images with seed {seed} failed: {error}"
        ) from error
