"""Evidently: a report on what changed in a window of predictions, and a workspace that shows the trend over windows."""

import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.metrics import DatasetMissingValueCount, DriftedColumnsCount, DuplicatedRowCount, RowCount, ValueDrift
from evidently.sdk.models import PanelMetric
from evidently.sdk.panels import line_plot_panel
from evidently.ui.workspace import Project, Workspace
from numpy.typing import NDArray

from fashion.evaluation.neighbours import domain_auc

HTML, JSON = "evidently.html", "evidently.json"
PROJECT = "fashion"
TAB = "Drift"
NUMBERS_BY, CLASSES_BY = "wasserstein", "jensenshannon"
"""Distances. Chosen by Evidently, they change with the values that occur, and the line of the trend breaks."""
MOST_RUNS = 50
"""In the workspace, half a MB each; all of them are read whenever it is opened."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Described:
    """Predictions, one row each."""

    numbers: pd.DataFrame
    """Numerical columns."""
    predicted: NDArray[np.str_]
    """(n,), names of classes."""
    embeddings: NDArray[np.float32]
    """(n, d)"""


class EmbeddingAuc(SingleValueMetric):  # type: ignore[misc]
    """How well a classifier tells the window's embeddings from the reference's.

    Evidently's own metric of embeddings draws a t-SNE each time, which takes up to a minute.
    """


class EmbeddingAucCalculation(SingleValueCalculation[EmbeddingAuc]):  # type: ignore[misc]
    """What Evidently calls for `EmbeddingAuc`."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        return self.result(domain_auc(_embeddings(current_data), _embeddings(reference_data)))

    def display_name(self) -> str:
        return "Embeddings: area under the ROC curve of a classifier between window and reference"


def write_report(folder: Path, window: Described, reference: Described, moment: datetime, trend: Path | None) -> None:
    """Compare a window with the reference: a page and its JSON in the existing `folder`.

    Args:
        moment: where the window stands on the axis of time.
        trend: the workspace to which the report is added, for `evidently ui`; it is made if need be.
    """
    columns = [*window.numbers.columns, "predicted"]
    report = Report(
        [
            EmbeddingAuc(),
            DriftedColumnsCount(columns=columns, num_method=NUMBERS_BY, cat_method=CLASSES_BY),
            *(ValueDrift(column=column, method=NUMBERS_BY) for column in window.numbers.columns),
            ValueDrift(column="predicted", method=CLASSES_BY),
            RowCount(),
            DuplicatedRowCount(),
            DatasetMissingValueCount(),
        ]
    )
    # A column that is constant has no correlations, and Evidently looks for them all the same.
    with np.errstate(invalid="ignore"):
        snapshot = report.run(_dataset(window), _dataset(reference), timestamp=moment)
    _show_shares(snapshot)
    snapshot.save_html(str(folder / HTML))
    snapshot.save_json(str(folder / JSON))
    if trend:
        _add_to_trend(trend, snapshot, columns)


def _show_shares(snapshot: Snapshot) -> None:
    """Let the charts begin with percent, as their own button does: a window has fewer rows than the reference."""
    for result in snapshot.metric_results.values():
        for chart in _charts(result.widget or []):
            for menu in chart["layout"].get("updatemenus", []):
                active = [button["label"] for button in menu["buttons"]].index("perc")
                traces, layout = menu["buttons"][active]["args"]
                menu["active"] = active
                chart["layout"] |= layout
                for trace, visible in zip(chart["data"], traces["visible"], strict=True):
                    trace["visible"] = visible


def _charts(widgets: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield every plotly figure, those on tabs included."""
    for widget in widgets:
        if widget.type == "big_graph":
            yield widget.params
        yield from _charts(tab.widget for tab in widget.tabs or [])


def _dataset(described: Described) -> Dataset:
    # Embeddings as one column of bytes: Evidently's figures on quality compare every column with every other.
    embedded = [row.astype("<f4").tobytes() for row in described.embeddings]
    # It writes names into its page as they are: one with </script> would end the page there.
    predicted = [escape(name, quote=False) for name in described.predicted]
    table = described.numbers.assign(predicted=predicted, embedding=embedded)
    numbers = list(described.numbers.columns)
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=["predicted"])
    return Dataset.from_pandas(table, data_definition=definition)


def _embeddings(dataset: Dataset) -> NDArray[np.float32]:
    rows: list[bytes] = list(dataset.as_dataframe()["embedding"])
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1)


def _add_to_trend(folder: Path, snapshot: Snapshot, columns: list[str]) -> None:
    try:
        workspace = Workspace.create(str(folder))
    except (ValueError, FileNotFoundError) as error:
        # Whoever is killed while it is written leaves it so. The history itself is in the database.
        logger.warning("%s is damaged (%s); the trend in it begins anew", folder, error)
        shutil.rmtree(folder)
        workspace = Workspace.create(str(folder))
    known = workspace.search_project(PROJECT)
    project = known[0] if known else _new_project(workspace, columns)
    workspace.add_run(project.id, snapshot)
    for run in sorted(workspace.list_runs(project.id))[:-MOST_RUNS]:
        workspace.delete_run(project.id, run)


def _new_project(workspace: Workspace, columns: list[str]) -> Project:
    project = workspace.create_project(PROJECT)
    share = PanelMetric(metric="DriftedColumnsCount", metric_labels={"value_type": "share"}, legend="share")
    panels = [
        line_plot_panel("Embeddings: area under the ROC curve", [PanelMetric(metric="EmbeddingAuc", legend="area")]),
        line_plot_panel("Share of drifted columns", [share], size="half"),
        line_plot_panel("Predictions", [PanelMetric(metric="RowCount", legend="rows")], size="half"),
        # One each, since a distance has no upper bound where the reference hardly varies.
        *(line_plot_panel(f"Distance of {name}", [_distance_of(name)], size="half") for name in columns),
    ]
    for panel in panels:
        project.dashboard.add_panel(panel, tab=TAB)
    project.save()
    return project


def _distance_of(column: str) -> PanelMetric:
    return PanelMetric(metric="ValueDrift", metric_labels={"column": column}, legend=column)
