"""`fashion learning-curve`: the page about a learning curve, and its figures beside it."""

from pathlib import Path
from typing import Any

from fashion.adapters.documents import render
from fashion.adapters.plots_learning_curve import learning_curve
from fashion.experiments.learning_curve.results import Curve, Point
from fashion.experiments.learning_curve.wording import curve_rows, describe_curve
from fashion.experiments.space import flatten
from fashion.paths import Project
from fashion.storage import write_json, write_text

ROOM = "fashion.pages"


def write_curve(project: Project, curve: Curve) -> Path:
    """Write artifacts/learning_curves/RECIPE.json, then the page RECIPE.html, and return the path of that."""
    folder, name = project.root / "artifacts" / "learning_curves", curve.subject.name
    figures = figures_of(curve)
    write_json(folder / f"{name}.json", figures)
    page = render(
        ROOM,
        "learning_curve.html",
        title=f"Learning curve of {name}",
        curve=curve,
        rows=curve_rows(curve),
        described=describe_curve(curve),
        picture=learning_curve(figures["points"]),
        recipe=flatten(curve.subject.recipe.model_dump(exclude_defaults=True)),
    )
    path = folder / f"{name}.html"
    write_text(path, page)
    return path


def figures_of(curve: Curve) -> dict[str, Any]:
    """Return everything that was measured, for programs."""
    subject = curve.subject
    return {
        "recipe": {"name": subject.name, **subject.recipe.model_dump(mode="json")},
        "seeds": list(subject.seeds),
        "validation_images": subject.validated,
        "points": [_figures_of_point(point) for point in curve.points],
        "gains": [
            {
                "smaller": gain.smaller,
                "larger": gain.larger,
                "value": gain.difference.value,
                "low": gain.difference.low,
                "high": gain.difference.high,
            }
            for gain in curve.gains
        ],
        "verdict": curve.verdict,
    }


def _figures_of_point(point: Point) -> dict[str, Any]:
    found = point.accuracy
    return {
        "size": point.size,
        "steps": point.steps,
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
        "seeds": list(point.accuracies),
        "seconds": point.seconds,
    }
