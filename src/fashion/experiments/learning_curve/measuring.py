"""Training with every size and every seed of a learning curve."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from fashion.errors import TrainingError
from fashion.experiments.learning_curve.kept import KeptTrainings
from fashion.experiments.learning_curve.results import Curve, curve_of
from fashion.experiments.learning_curve.subject import Subject
from fashion.experiments.trainers import Trainers, trainers
from fashion.experiments.trial import Job, Outcome, Progress
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
        ServiceError: the cluster that was asked is away.
        TrainingError: one of the trainings failed; what was done before it is kept.
    """
    kept = kept_trainings(project, subject)
    outcomes: dict[tuple[int, int], Outcome] = {}
    with trainers(project) as found:

        def train(size: int, seed: int) -> None:
            outcome = kept.load(size, seed)
            if outcome is None or len(outcome.right) != subject.validated:
                job = Job(project.root, subject.recipe_for(size), subject.classes, seed, size)
                outcome = _train(found, job, partial(watch.on_epoch, size, seed), subject.name)
                kept.save(size, seed, outcome)
            outcomes[size, seed] = outcome
            watch.on_training(size, seed, outcome)

        with found.side_by_side() as trainings:
            for size, seed in subject.trainings:
                trainings.begin(train, size, seed)
    return curve_of(subject, outcomes)


def _train(found: Trainers, job: Job, on_epoch: Callable[[Progress], None], name: str) -> Outcome:
    def go_on(progress: Progress) -> bool:
        on_epoch(progress)
        return False

    try:
        return found.train(job, go_on)
    except TrainingError as error:
        raise TrainingError(
            f"The training of {name} on {job.images:,} images with seed {job.seed} failed: {error}"
        ) from error
