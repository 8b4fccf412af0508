"""Words and tables about a learning curve, for people."""

from fashion.evaluation.estimates import CONFIDENCE
from fashion.experiments.duration import SECONDS_PER_MINUTE, seconds_of_last_training
from fashion.experiments.learning_curve.kept import KeptTrainings
from fashion.experiments.learning_curve.results import Curve
from fashion.experiments.learning_curve.subject import Subject
from fashion.experiments.trial import Outcome
from fashion.model.steps import count_steps
from fashion.paths import Project

LONG_SECONDS = 90.0
"""From here on a time is told in minutes."""


def forecast(project: Project, subject: Subject, kept: KeptTrainings) -> str:
    """Return how many trainings of how many steps there will be, and how long they are likely to take."""
    done = [outcome for size, seed in subject.trainings if (outcome := kept.load(size, seed))]
    left = len(subject.trainings) - len(done)
    sizes = " and ".join([", ".join(f"{size:,}" for size in subject.sizes[:-1]), f"{subject.sizes[-1]:,}"])
    steps = [subject.steps_for(size).total for size in subject.sizes]
    span = f"{min(steps):,}" if min(steps) == max(steps) else f"{min(steps):,} to {max(steps):,}"
    count, seeds = len(subject.trainings), len(subject.seeds)
    parts = [
        f"{count} trainings of {subject.name}: {sizes} images, {seeds} seeds each, {span} steps a training, "
        f"{seeds * sum(steps):,} in all"
    ]
    if done:
        parts.append(f"{len(done)} of them done already, {left} left")
    seconds = seconds_of(done) or seconds_of_last_training(project, subject.name)
    if left:
        parts.append(f"about {duration(left * seconds)}" if seconds else "how long, the first will tell")
    words = f"{'; '.join(parts)}."
    doubt = count_steps(subject.recipe, subject.images, subject.classes).doubt
    return f"{words}\n{doubt}" if doubt else words


def describe_training(size: int, seed: int, done: list[Outcome], trainings: int) -> str:
    """Return a line about the last training that is done, and how long the others are likely to take."""
    last, left = done[-1], trainings - len(done)
    words = f"{size:,} images, seed {seed}: {last.accuracy:.2%}, {last.seconds:.0f} s"
    return f"{words}; {left} left, about {duration(left * (seconds_of(done) or 0))}" if left else words


def seconds_of(done: list[Outcome]) -> float | None:
    """Return the mean seconds of trainings; None if there was none."""
    return sum(outcome.seconds for outcome in done) / len(done) if done else None


def duration(seconds: float) -> str:
    if seconds < LONG_SECONDS:
        return f"{seconds:.0f} s"
    return f"{seconds / SECONDS_PER_MINUTE:.0f} minutes"


def curve_rows(curve: Curve) -> list[dict[str, str]]:
    """Return a row for each size: accuracy and gain with their intervals, each seed's accuracy, steps, seconds."""
    gains = {gain.larger: gain.difference for gain in curve.gains}
    rows = []
    for point in curve.points:
        found, gain = point.accuracy, gains.get(point.size)
        rows.append(
            {
                "Images": f"{point.size:,}",
                "Accuracy": f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%})",
                "Gained": f"{100 * gain.value:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})" if gain else "",
                "Seeds": " ".join(f"{accuracy:.2%}" for accuracy in point.accuracies),
                "Steps": f"{point.steps:,}",
                "Seconds": f"{point.seconds:.0f}",
            }
        )
    return rows


def describe_curve(curve: Curve) -> str:
    """Return how the curve was measured."""
    subject = curve.subject
    seeds = ", ".join(map(str, subject.seeds))
    return (
        f"{subject.name}, mean of {len(subject.seeds)} seeds ({seeds}) on the same n = {subject.validated:,} "
        f"validation images; {100 * CONFIDENCE:g} % intervals, for other seeds and other images; what was gained is in "
        "points, over the size before. No test image was seen."
    )
