"""Words and tables about a search, for people."""

import io
from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml import YAML

from fashion.adapters.studies import RUNNING, Trial
from fashion.evaluation.estimates import CONFIDENCE, raise_confidence
from fashion.experiments.finals import Tuned
from fashion.params import Recipe
from fashion.text import markdown_table


def finalist_rows(tuned: Tuned) -> list[dict[str, str]]:
    """Return a row for each finalist: its values, both accuracies, and the difference with its interval."""
    rows = []
    for finalist in tuned.finalists:
        row = {"Trial": str(finalist.trial.number), "Values": show_values(finalist.trial.values)}
        if found := finalist.difference:
            row |= {
                "Accuracy": f"{found.candidate:.2%}",
                tuned.recipe: f"{found.champion:.2%}",
                "Difference": f"{found.value:+.2%} ({found.low:+.2%} to {found.high:+.2%})",
            }
        else:
            row |= {"Accuracy": "-", tuned.recipe: "-", "Difference": "-"}
        rows.append(row | {"Verdict": finalist.verdict})
    return rows


def trial_row(trial: Trial) -> dict[str, str]:
    """Return a trial as it is shown in a table."""
    return {
        "Trial": str(trial.number),
        "Values": show_values(trial.values),
        "Accuracy": "" if trial.accuracy is None else f"{trial.accuracy:.2%}",
        "Seconds": f"{trial.seconds:.0f}" if trial.seconds else "",
        "": f"{trial.state}: {trial.reason}" if trial.reason else trial.state,
    }


def show_values(values: Mapping[str, Any]) -> str:
    """Return the values of a trial on one line."""
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def describe_comparison(tuned: Tuned) -> str:
    """Return how the comparison was made, in a sentence."""
    confidence = raise_confidence(CONFIDENCE, max(1, len(tuned.finalists)))
    return (
        f"Mean accuracy of {tuned.seeds} seeds each, none of them the search's, on the same n = {tuned.images:,} "
        f"validation images; {confidence:.1%} intervals, {CONFIDENCE:.0%} jointly, for other seeds and other images. "
        "The search saw these images, too, so a difference is likely to shrink on others; no test image was seen."
    )


def as_yaml(name: str, recipe: Recipe) -> str:
    """Return a recipe as it stands in params.yaml, under train.recipes; what has its default value is left out."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 1000
    yaml.dump({name: recipe.model_dump(mode="json", exclude_defaults=True)}, stream)
    return stream.getvalue()


def summary_of(tuned: Tuned) -> str:
    """Return everything that was found, as Markdown."""
    parts = [f"# Study {tuned.study}", tuned.verdict]
    if tuned.finalists:
        parts += [describe_comparison(tuned), markdown_table(finalist_rows(tuned))]
    if tuned.trials:
        parts += ["## All trials", markdown_table([trial_row(trial) for trial in tuned.trials])]
    return "\n\n".join(parts) + "\n"


def log_trials(say: Callable[[str], object]) -> Callable[[list[Trial]], None]:
    """Return a callback that says a line for each trial, once, when it has ended."""
    told: set[int] = set()

    def tell(trials: list[Trial]) -> None:
        for trial in trials:
            if trial.state != RUNNING and trial.number not in told:
                told.add(trial.number)
                say("  ".join(cell for cell in trial_row(trial).values() if cell))

    return tell
