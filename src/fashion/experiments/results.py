"""What a search found, and the folder in which it is kept: artifacts/tuning/NAME/."""

from pathlib import Path

import pandas as pd

from fashion.adapters.studies import Study
from fashion.adapters.studies.pictures import draw_study
from fashion.experiments.finals import Tuned
from fashion.experiments.wording import as_yaml, summary_of
from fashion.paths import Project
from fashion.storage import atomic_folder, write_text

SUMMARY, TRIALS, RECIPE = "summary.md", "trials.csv", "recipe.yaml"
WINNER = "winner"
"""The note of a study under which its winner is kept."""


def name_found_from(recipe: str) -> str:
    """Return the name of a recipe that was found from that one, with room for a number: names have 64 characters."""
    return f"{recipe[:55]}-tuned"


def write_results(project: Project, study: Study, tuned: Tuned) -> Path:
    """Write the folder of the study, and return its path."""
    path = project.tuning / tuned.study
    with atomic_folder(path) as folder:
        draw_study(study, folder)
        rows = [
            {
                "trial": trial.number,
                **trial.values,
                "validation_accuracy": trial.accuracy,
                "seconds": round(trial.seconds, 1),
                "state": trial.state,
                "reason": trial.reason,
            }
            for trial in tuned.trials
        ]
        write_text(folder / TRIALS, pd.DataFrame(rows).to_csv(index=False))
        write_text(folder / SUMMARY, summary_of(tuned))
        if winner := tuned.winner:
            write_text(folder / RECIPE, as_yaml(name_found_from(tuned.recipe), winner.recipe))
    return path
