"""Pictures of a search, as Optuna draws them."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.visualization import matplotlib as drawn

from fashion.adapters.studies.study import COMPLETE, PRUNED, Study
from fashion.storage import atomic_file

FEWEST = 4
"""Complete trials without which nothing can be said about what matters."""
DOTS_PER_INCH = 110
GOAL = "validation accuracy"


def draw_study(study: Study, folder: Path) -> list[Path]:
    """Draw into the existing folder the history of the trials, their curves, what mattered, and a slice for each knob.

    What there are too few trials for is left out. Returns the paths of what was drawn.
    """
    states = [trial.state for trial in study.trials]
    pictures: dict[str, Callable[[], Any]] = {}
    if COMPLETE in states:
        pictures["history"] = lambda: _by_trial(drawn.plot_optimization_history(study.optuna, target_name=GOAL))
        pictures["slices"] = lambda: drawn.plot_slice(study.optuna, target_name=GOAL)
    if COMPLETE in states or PRUNED in states:
        pictures["curves"] = lambda: drawn.plot_intermediate_values(study.optuna)
    if states.count(COMPLETE) >= FEWEST:
        evaluator = PedAnovaImportanceEvaluator()
        pictures["importances"] = lambda: drawn.plot_param_importances(study.optuna, evaluator=evaluator)
    return [_draw(folder / f"{name}.png", draw) for name, draw in pictures.items()]


def _by_trial(axes: Axes) -> Axes:
    """Number the trials in whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def _draw(path: Path, draw: Callable[[], Any]) -> Path:
    with _quietly():
        figure = _figure_of(draw())
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight")
    return path


def _figure_of(axes: Any) -> Figure:
    """Return the figure of one of Optuna's pictures: its axes, or an array of several."""
    first = axes if isinstance(axes, Axes) else axes.ravel()[0]
    return cast("Figure", first.figure)


@contextmanager
def _quietly() -> Iterator[None]:
    """Optuna calls its pictures experimental each time that it draws one, and matplotlib looks for a display."""
    before = plt.get_backend()
    plt.switch_backend("agg")
    try:
        with warnings.catch_warnings(), rc_context({"figure.figsize": (10, 5), "font.size": 10}):
            warnings.simplefilter("ignore", ExperimentalWarning)
            warnings.filterwarnings("ignore", "Target and region quantiles")  # Too few trials to tell knobs apart.
            warnings.filterwarnings("ignore", "Attempting to set identical low and high xlims")  # A single choice.
            yield
    finally:
        plt.close("all")
        plt.switch_backend(before)
