"""What came of `benchmarks.experiments`: the table, the picture, the section of docs/experiments.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.experiment_rows import Rows
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from benchmarks.variants import BASE, Variant
from fashion.evaluation.estimates import CONFIDENCE
from fashion.evaluation.replications import difference_over_seeds
from fashion.experiments.trial import unpack
from fashion.params import Recipe
from fashion.storage import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCUMENT, PICTURE = ROOT / "docs" / "experiments.md", "experiments.svg"
BEGIN, END = "<!-- python -m benchmarks.experiments writes from here -->", "<!-- to here -->"
ALT = "For each change, the difference in accuracy from compact with its interval, and the cost of a step"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6e7781"
"""Told apart by colour-blind readers: M. Okabe and K. Ito, "Color universal design", 2008."""


@dataclass(frozen=True)
class Findings:
    """What is shown beside the trainings."""

    seeds: Sequence[int]
    costs: Mapping[str, float]
    """CPU milliseconds of a training step, by change."""


Bases = Mapping[int, Sequence[Mapping[str, Any]]]
"""The trainings of `compact`, by seed: several of each."""


def write_page(rows: Rows, variants: Sequence[Variant], base: Recipe, findings: Findings, output: Path | None) -> None:
    """Write figures, page and picture into `output`; without it beside the benchmark and into the documents."""
    bases = {seed: found for seed in findings.seeds if (found := rows.all(seed, BASE, base))}
    tried = {one.name: _rates(rows, one, base) for one in variants if one.rates}
    every = [_measure(rows, one, base, tried.get(one.name), bases) for one in variants]
    costs = findings.costs
    measured = [one | {"cost": costs[one["name"]] / costs[BASE]} for one in every if one["seeds"]]
    results = {
        "machine": machine(),
        "compact": _base_figures(bases) | {"milliseconds": costs[BASE]},
        "repeated": all(row["right"] == found[0]["right"] for found in bases.values() for row in found),
        "rates": tried,
        "variants": measured,
        "failed": [f"{one['name']}, seed {seed}" for one in every for seed in one["failed"]],
    }
    module = Path(output or ROOT / "benchmarks", "experiments.py")
    page = render(results)
    draw(measured, (output or ROOT / "docs") / PICTURE)
    save(str(module), results, page)
    if not output:
        paste(DOCUMENT, page)


def _rates(rows: Rows, one: Variant, base: Recipe) -> dict[str, float]:
    """Return the validation accuracy of each learning rate that was tried."""
    found = {rate: rows.load(f"{one.name} at {rate:g}", one.recipe(base, rate), 1) for rate in one.rates}
    return {f"{rate:g}": row["validation_accuracy"] for rate, row in found.items() if row}


def _measure(rows: Rows, one: Variant, base: Recipe, rates: Mapping[str, float] | None, bases: Bases) -> dict[str, Any]:
    """Return the figures of a variant, over the seeds that it and `compact` have been trained with."""
    rate = float(max(rates, key=lambda name: rates[name])) if rates else None
    recipe = one.recipe(base, rate)
    trained = [row for seed in bases if (row := rows.load(one.name, recipe, seed))]
    found = [row for row in trained if "failed" not in row]
    about = {"name": one.name, "failed": [row["seed"] for row in trained if "failed" in row]}
    if not found:
        return about | {"seeds": []}
    ours = np.stack([unpack(row["right"], row["images"]) for row in found])
    firsts = [bases[row["seed"]][0] for row in found]
    theirs = np.stack([unpack(row["right"], row["images"]) for row in firsts])
    figures = about | {
        "group": one.group,
        "rate": rate,
        "weight_decay": recipe.weight_decay,
        "seeds": [row["seed"] for row in found],
        **_accuracy(found),
        "difference": float(ours.mean() - theirs.mean()),
    }
    if len(found) > 1:
        difference = difference_over_seeds(ours, theirs, CONFIDENCE)
        figures |= {"low": difference.low, "high": difference.high}
    return figures


def _base_figures(bases: Bases) -> dict[str, Any]:
    firsts = [found[0] for found in bases.values()]
    counts = {name: firsts[0][name] for name in ("training_images", "validation_images", "images", "steps")}
    return {**counts, "seeds": list(bases), **_accuracy(firsts)}


def _accuracy(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [row["accuracy"] for row in found]
    return {
        "accuracy": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    }


def render(results: Mapping[str, Any]) -> str:
    base, rows = results["compact"], results["variants"]
    heads = ["", "change", "accuracy, mean ± deviation", "difference from `compact`, points", "cost of a step", "seeds"]
    lines = [["", "`compact`", _shown(base), "", "1.00", _numbers(base["seeds"])]]
    group = ""
    for row in rows:
        lines.append([row["group"] if row["group"] != group else "", f"`{row['name']}`{_with_rate(row)}", *_cells(row)])
        group = row["group"]
    several = sum("low" in row for row in rows)
    by_chance = f"{(1 - CONFIDENCE) * several:.1f} of the {several}"
    chance = (
        f"Differences are paired by seed and image; their {100 * CONFIDENCE:g} % intervals are for other seeds and "
        f"other images. Those in bold exclude 0, which {by_chance} would do by chance if nothing made a difference."
    )
    same = "were identical" if results["repeated"] else "were not identical, which the intervals do not know"
    return paragraphs(
        f"{measured_on(results['machine'])}. {base['training_images']:,} training images, {base['steps']:,} steps; "
        f"accuracy on {base['images']:,} training images set aside; {base['validation_images']:,} validation images. "
        f"A step of `compact` costs {base['milliseconds']:.0f} ms of CPU time on one thread, the others a multiple of "
        f"that. Trainings of `compact` with the same seed {same}.",
        *([chance] if several else []),
        table(heads, lines),
        *([f"Trainings whose loss became infinite: {'; '.join(results['failed'])}."] if results["failed"] else []),
        *([_rates_tried(results["rates"])] if results["rates"] else []),
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    shown = f"{100 * row['difference']:+.2f}"
    if "low" in row:
        shown += f" ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
        shown = f"**{shown}**" if row["low"] > 0 or row["high"] < 0 else shown
    return [_shown(row), shown, f"{row['cost']:.2f}", _numbers(row["seeds"])]


def _shown(row: Mapping[str, Any]) -> str:
    return f"{row['accuracy']:.2%}" + (f" ± {row['deviation']:.2%}" if row["deviation"] is not None else "")


def _numbers(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _with_rate(row: Mapping[str, Any]) -> str:
    if row["rate"] is None:
        return ""
    return f", learning_rate {row['rate']:g}, weight_decay {row['weight_decay']:.3g}"


def _rates_tried(rates: Mapping[str, Mapping[str, float]]) -> str:
    lines = []
    for name, tried in rates.items():
        shown = [f"{rate} {accuracy:.2%}" if accuracy else f"{rate} fails" for rate, accuracy in tried.items()]
        lines.append(f"{name}: {', '.join(shown)}")
    return (
        "Learning rates that were tried for the other optimizers, with half of the images and seed 1, and their "
        f"validation accuracies; the best one was taken: {'; '.join(lines)}. That of muon, 0.008, was chosen on this "
        "dataset before. The weight decay of each is such that weights decay by as much in a step as with muon."
    )


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the differences with their intervals on the left, the costs on the right."""
    from benchmarks.pictures import svg_figure

    with svg_figure(path, (8, 1.2 + 0.27 * len(rows))) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        for place, row in enumerate(rows):
            _draw_row(left, place, row)
        left.axvline(0, color="black", linewidth=1)
        left.set_yticks(range(len(rows)), [row["name"] for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.set(xlabel="accuracy minus compact's, points, 95 % interval")
        right.plot([row["cost"] for row in rows], range(len(rows)), "s", color=GREY, markersize=4)
        right.axvline(1, color="black", linewidth=1)
        right.set(xlabel="times compact's step", xlim=(0, None))
        borders = [place - 0.5 for place in range(1, len(rows)) if rows[place]["group"] != rows[place - 1]["group"]]
        for axis in (left, right):
            axis.grid(axis="x", alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            axis.hlines(borders, *axis.get_xlim(), color="#d0d7de", linewidth=0.8)


def _draw_row(axis: "Axes", place: int, row: Mapping[str, Any]) -> None:
    """Draw what is certainly better as a triangle upwards, certainly worse downwards, all else as a dot."""
    value, low, high = (100 * row.get(name, row["difference"]) for name in ("difference", "low", "high"))
    colour, marker = (BLUE, "^") if low > 0 else (ORANGE, "v") if high < 0 else (GREY, "o")
    if "low" not in row:
        colour, marker = GREY, "x"
    axis.plot([low, high], [place, place], color=colour, linewidth=1.5)
    axis.plot([value], [place], marker, color=colour, markersize=5)


def paste(document: Path, page: str) -> None:
    """Put the picture and the page between the two marks of the document."""
    text = document.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise SystemExit(f"{document} has no lines {BEGIN} and {END}, between which the table goes")
    write_text(document, f"{before}{BEGIN}\n\n![{ALT}]({PICTURE})\n\n{page}\n{END}{after}")
