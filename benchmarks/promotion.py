"""Judgements of real models; writes benchmarks/promotion.json, benchmarks/promotion.md and docs/judgement.svg.

    python -m benchmarks.promotion               # about six minutes on two cores
    python -m benchmarks.promotion --render      # table and picture again, from the figures that are there

The candidates are trained, measured, exported and registered one after the other, by the commands a user types, in a
project of its own under .state/promotion: each meets the champion that the ones before it have left.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.processes import run
from benchmarks.projects import make_project, prepare_dataset, set_training
from benchmarks.results import ROOT, machine, save, table
from fashion.environment import apply_environment
from fashion.evaluation.judgement import BETTER, SHARE, WORSE
from fashion.paths import Project
from fashion.reading import read_json
from fashion.registry.judgement import Judgement, judgement_from_dict
from fashion.registry.wording import markdown

RESULTS = Path(__file__).with_suffix(".json")
PICTURE = ROOT / "docs" / "judgement.svg"
CANDIDATES = (("baseline", 1), ("compact", 1), ("compact", 2), ("dropout", 1))
SHOWN = ("compact", 1)
"""The candidate whose whole judgement is shown."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", action="store_true", help="measure nothing, draw table and picture anew")
    if parser.parse_args().render:
        apply_environment(Project(ROOT))
        results = read_json(RESULTS, "python -m benchmarks.promotion")
    else:
        results = measure()
    save(__file__, results, render(results["judged"]))
    draw(shown(results["judged"]), PICTURE)


def measure() -> dict[str, Any]:
    project = make_project(ROOT / ".state" / "promotion")
    prepare_dataset(project)
    return {"judged": [judge(project, model, seed) for model, seed in CANDIDATES], "machine": machine()}


def judge(project: Project, model: str, seed: int) -> dict[str, Any]:
    """Make the candidate; how it was judged."""
    set_training(project, model, seed)
    for stage in ("train", "evaluate", "export", "register"):
        measured = run(["fashion", stage], project.root)
        print(f"{model}, seed {seed}: {stage} in {measured.seconds:.0f} s", flush=True)
    judgement = read_json(project.judgement / "judgement.json", "fashion register")
    return {"model": model, "seed": seed, "judgement": judgement}


def render(judged: list[dict[str, Any]]) -> str:
    rows = []
    for version, one in enumerate(judged, start=1):
        judgement = judgement_from_dict(one["judgement"])
        verdict = "champion" if judgement.promoted else "challenger"
        first, *others = judgement.reasons
        more = f" ({len(others)} more reasons)" if others else ""
        rows.append([str(version), f"`{one['model']}`, seed {one['seed']}", verdict, f"{first}{more}"])
    return f"{table(['version', 'candidate', 'verdict', 'because'], rows)}\n\n{markdown(shown(judged))}"


def shown(judged: list[dict[str, Any]]) -> Judgement:
    """The judgement that is shown whole."""
    return judgement_from_dict(next(one["judgement"] for one in judged if (one["model"], one["seed"]) == SHOWN))


def draw(judgement: Judgement, path: Path) -> None:
    """Draw the difference of accuracy and of each recall in points, with its interval and both figures beside it."""
    from benchmarks.pictures import svg_figure

    lines = [line for line in judgement.lines if line.unit == SHARE][::-1]
    with svg_figure(path, (9, 0.8 + 0.3 * len(lines))) as figure:
        axes = figure.subplots()
        for place, line in enumerate(lines):
            colour = {BETTER: "#1a7f37", WORSE: "#cf222e"}.get(line.verdict, "#0969da")
            difference = 100 * (line.candidate - line.champion)
            axes.plot([100 * line.low, 100 * line.high], [place, place], color=colour, linewidth=2.5)
            axes.plot(difference, place, "o", color=colour, markersize=6)
            figures = f"{line.champion:.1%} → {line.candidate:.1%}  {line.verdict}"
            axes.text(1.01, place, figures, color=colour, va="center", transform=axes.get_yaxis_transform())
        axes.axvline(0, color="#57606a", linewidth=1)
        axes.set_yticks(range(len(lines)), [line.figure for line in lines])
        axes.set_xlabel(
            f"candidate minus {judgement.champion}, points; {judgement.confidence:.0%} intervals, "
            f"the same {judgement.images:,} test images"
        )
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(axis="x", color="#d0d7de", linewidth=0.6)


if __name__ == "__main__":
    main()
