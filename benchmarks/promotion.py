"""Judgements of real models, as the README shows them; writes benchmarks/promotion.json and benchmarks/promotion.md.

    python -m benchmarks.promotion               # about six minutes on two cores

The candidates are trained, measured, exported and registered one after the other, by the commands a user types, in a
project of its own under .state/promotion: each meets the champion that the ones before it have left.
"""

from pathlib import Path
from typing import Any

from benchmarks.main_job import ROOT, machine, make_project, run, set_training
from fashion.evaluation.judgement import judgement_from_dict, markdown
from fashion.paths import Project
from fashion.storage import read_json, write_json, write_text

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
CANDIDATES = (("baseline", 1), ("compact", 1), ("compact", 2), ("dropout", 1))
SHOWN = ("compact", 1)
"""The candidate whose whole judgement is shown."""


def main() -> None:
    project = make_project(ROOT / ".state" / "promotion")
    for stage in ("validate", "prepare"):
        run(["dvc", "repro", "--single-item", stage], project.root)
    judged = [judge(project, model, seed) for model, seed in CANDIDATES]
    write_json(RESULTS, {"machine": machine(), "judged": judged})
    write_text(TABLE, render(judged))
    print(TABLE.read_text(encoding="utf-8"))


def judge(project: Project, model: str, seed: int) -> dict[str, Any]:
    """Make the candidate; how it was judged."""
    set_training(project, model, seed)
    for stage in ("train", "evaluate", "export", "register"):
        measured = run(["fashion", stage], project.root)
        print(f"{model}, seed {seed}: {stage} in {measured.seconds:.0f} s", flush=True)
    judgement = read_json(project.judgement / "judgement.json", "fashion register")
    return {"model": model, "seed": seed, "judgement": judgement}


def render(judged: list[dict[str, Any]]) -> str:
    shown = next(one for one in judged if (one["model"], one["seed"]) == SHOWN)
    lines = ["| version | candidate | verdict | because |", "|---|---|---|---|"]
    for version, one in enumerate(judged, start=1):
        judgement = judgement_from_dict(one["judgement"])
        verdict = "champion" if judgement.promoted else "challenger"
        first, *others = judgement.reasons
        more = f" ({len(others)} more reasons)" if others else ""
        lines.append(f"| {version} | `{one['model']}`, seed {one['seed']} | {verdict} | {first}{more} |")
    return "\n".join([*lines, "", markdown(judgement_from_dict(shown["judgement"]))])


if __name__ == "__main__":
    main()
