"""The whole loop as it is lived: a champion serves, the world changes, accuracy falls, and comes back by itself.

    make demo                                                          # one change; ten minutes on two cores
    python -m benchmarks.demo --drifts rotation:3 brightness:4 blur:5 --publish

It types what a user types, against real services on free ports, in a project of its own under .state/demo. Of the
training images 10,000 are set aside before the first training: they are the traffic, and no image is sent twice. The
published test images are only what they always are, the frozen test set. The service asks for every label, and every
one is told; in production it asks for a few, at random (collect.asked_share), and the same takes that much longer.
Results and a picture of the first change are in .state/demo; with --publish also in benchmarks/demo.json,
benchmarks/demo.md and docs/demo.svg.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.main_job import machine, make_project, measured_on, wait_for
from benchmarks.serving import free_port
from fashion.adapters.predictions import JudgedWindow, PredictionLog
from fashion.adapters.versioning.pinning import pin
from fashion.environment import environment_defaults
from fashion.evaluation.estimates import Estimate, proportion
from fashion.images.idx import write_idx
from fashion.loop.monitor import read_history
from fashion.params import load_params
from fashion.paths import Project
from fashion.reading import read_json
from fashion.settings import headers_for_prefect, predictions_url
from fashion.stages.raw import read_raw
from fashion.storage import atomic_file, file_digest, write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = {
    "demo.json": Path(__file__).with_suffix(".json"),
    "demo.md": Path(__file__).with_suffix(".md"),
    "demo.svg": ROOT / "docs" / "demo.svg",
}
WINDOW, WINDOWS = 500, 20
"""Images that are sent between two looks, and how often there are so many others."""
CLEAN, AFTER = 3, 3
"""Windows before the change, and after the new champion has taken over."""
RATE = 100
LEAST_SCORE = 0.1
"""That is shown; one that is typical is 0."""
PATIENCE = 900.0
"""Seconds from the change to the new champion."""
PAUSE = 20.0
"""Seconds between windows after the change: the training needs the processor, too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = "what changes and how much; fashion simulate --drift list names the kinds"
    parser.add_argument("--drifts", nargs="+", default=["rotation:3"], metavar="KIND:SEVERITY", help=kinds)
    parser.add_argument("--publish", action="store_true", help="let README and docs show these results")
    arguments = parser.parse_args()
    start = time.monotonic()
    project, base = prepare(ROOT / ".state" / "demo")
    prepared = time.monotonic() - start
    say(forecast(prepared, len(arguments.drifts)))
    stories = []
    for drift in arguments.drifts:
        shutil.rmtree(project.root)
        shutil.copytree(base, project.root, symlinks=True)
        with services(project) as address:
            stories.append(tell(project, address, *drift.split(":")))
    folder = project.root.parent
    minutes = {"prepared_minutes": prepared / 60, "minutes": (time.monotonic() - start) / 60}
    results = {"machine": machine(), **minutes, "stories": stories}
    write_json(folder / "demo.json", results)
    write_text(folder / "demo.md", render(results))
    draw(stories[0], folder / "demo.svg")
    if arguments.publish:
        for name, path in PUBLISHED.items():
            shutil.copy(folder / name, path)
    print(f"\n{render(results)}\nThe picture: {folder / 'demo.svg'}")


def prepare(folder: Path) -> tuple[Project, Path]:
    """A project with a champion that has never seen 10,000 of the training images, and a copy of it."""
    say("A project of its own, with 10,000 training images set aside as traffic")
    for name in [*environment_defaults(Project(ROOT)), *(key for key in os.environ if key.startswith("FASHION_"))]:
        os.environ.pop(name, None)
    shutil.rmtree(folder, ignore_errors=True)
    project = make_project(folder / "project")
    set_aside(project)
    os.environ["PREFECT_API_URL"] = "http://127.0.0.1:9/api"  # Nobody: the first training has a server of its own.
    say("The first champion", "make run")
    run(project, [sys.executable, "-m", "flows.training", "--reason", "first"])
    shutil.copytree(project.root, folder / "base", symlinks=True)
    return project, folder / "base"


def forecast(prepared: float, stories: int) -> str:
    """How long the rest takes, if it is as many times slower than where it was published as the beginning was."""
    published = read_json(PUBLISHED["demo.json"], "git checkout -- benchmarks/demo.json")
    alone = (published["minutes"] - published["prepared_minutes"]) / len(published["stories"])
    minutes = stories * alone * prepared / 60 / published["prepared_minutes"]
    return f"About {minutes:.0f} minutes more on this machine, by how long that took"


def set_aside(project: Project) -> None:
    """Take the traffic out of the training images, and let the project say that this is its data."""
    params = load_params(project.params)
    train = read_raw(project, params.data)["train"]
    order = np.random.default_rng(0).permutation(len(train.labels))
    for number in range(WINDOWS):
        window = order[number * WINDOW : (number + 1) * WINDOW]
        for path, values in zip(traffic(project, number), (train.images, train.labels), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(write_idx(values[window].astype(np.uint8)))
    rest = order[WINDOW * WINDOWS :]
    content = yaml.safe_load(project.params.read_text(encoding="utf-8"))
    for name, values in (("train_images", train.images), ("train_labels", train.labels)):
        path = project.data / content["data"][name]["name"]
        path.write_bytes(write_idx(values[rest].astype(np.uint8)))
        content["data"][name]["sha256"] = file_digest(path)
    content["collect"]["asked_share"] = 1.0
    write_text(project.params, yaml.safe_dump(content, sort_keys=False))
    suite = project.root / "expectations" / "train.json"
    expected = json.loads(suite.read_text(encoding="utf-8"))
    for expectation in expected["expectations"]:
        if expectation["type"] == "expect_table_row_count_to_equal":
            expectation["kwargs"]["value"] = len(rest)
    write_json(suite, expected)
    pin(project)


def traffic(project: Project, number: int) -> tuple[Path, Path]:
    """The files with the images and the labels of a window."""
    folder = project.state / "traffic"
    return folder / f"{number}-images.gz", folder / f"{number}-labels.gz"


@contextmanager
def services(project: Project) -> Iterator[str]:
    """Everything that runs all the time; the address of the service that predicts."""
    port = free_port()
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    os.environ["FASHION_MLFLOW_PORT"] = str(free_port())
    os.environ["FASHION_SERVE_PORT"] = str(port)
    os.environ["FASHION_HOME"] = str(project.root)
    address = f"http://127.0.0.1:{port}"
    say("Prefect, MLflow and a worker; then the service", "make up", "fashion serve")
    with running(project, "up", [sys.executable, "-m", "flows.services", "up"]) as log:
        while "Worker 'fashion' started" not in log.read_text(encoding="utf-8"):
            time.sleep(0.5)
        with running(project, "serve", ["fashion", "serve"]):
            wait_for(f"{address}/readyz")
            yield address


@contextmanager
def running(project: Project, name: str, command: Sequence[str]) -> Iterator[Path]:
    """A process for the duration of the block; the file with what it prints."""
    log = project.state / f"{name}.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=project.root, stdout=output, stderr=output, start_new_session=True)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)


def tell(project: Project, address: str, drift: str, severity: str) -> dict[str, Any]:
    """Live through one change; what was seen."""
    first = version_at(address)
    windows = iter(range(WINDOWS))
    for _ in range(CLEAN):
        send(project, next(windows))
        look(project)
    changed = datetime.now(UTC)
    say(f"The world changes: {drift}, severity {severity}")
    while (version := version_at(address)) == first:
        if (datetime.now(UTC) - changed).total_seconds() > PATIENCE:
            raise SystemExit(f"No new champion within {PATIENCE:.0f} s; Prefect says: {runs_of_retraining()}")
        send(project, next(windows), drift, severity)
        look(project)
        time.sleep(PAUSE)
    swapped = datetime.now(UTC)
    say(f"Version {version} has taken over")
    for _ in range(AFTER):
        send(project, next(windows), drift, severity)
        look(project)
    return summarise(project, drift, severity, (first, version), (changed, swapped))


def send(project: Project, number: int, drift: str | None = None, severity: str = "0") -> None:
    change = ["--drift", drift, "--severity", severity] if drift else []
    sent = ["--images", str(WINDOW), "--rate", str(RATE), "--seed", str(number)]
    run(project, ["fashion", "simulate", *sent, *change, "--source", *map(str, traffic(project, number))])


def look(project: Project) -> None:
    """One look by the monitor, as Prefect's worker takes it; prints what it saw."""
    time.sleep(2)  # The youngest predictions are left for the next look.
    run(project, ["prefect", "deployment", "run", "monitoring/default", "--watch"])
    window = read_history(project)[-1]
    accuracy = window.accuracy
    figures = [
        f"live accuracy {accuracy.value:.1%}" if accuracy else "no labels yet",
        f"estimated {window.estimated_accuracy:.1%}",
        f"drift score {max(window.scores.values()):.1f}",
        *(["ALARM"] if window.alarm else []),
    ]
    print(f"        window {window.number}: version {window.model_version}, {', '.join(figures)}", flush=True)


def version_at(address: str) -> str:
    return str(httpx.get(f"{address}/model", timeout=30).raise_for_status().json()["version"])


def runs_of_retraining() -> list[str]:
    found = httpx.post(
        f"{os.environ['PREFECT_API_URL']}/flow_runs/filter",
        json={"flows": {"name": {"any_": ["retraining"]}}},
        headers=headers_for_prefect(),
    )
    return [f"{one['name']} is {one['state_name']}: {one['state'].get('message')}" for one in found.json()]


def summarise(
    project: Project, drift: str, severity: str, versions: tuple[str, str], moments: tuple[datetime, datetime]
) -> dict[str, Any]:
    """Accuracies of the predictions themselves, by the version that made them, with their true labels."""
    log = PredictionLog(predictions_url(project))
    before = accuracy_of(log, versions[0], until=moments[0])
    during = accuracy_of(log, versions[0], since=moments[0])
    after = accuracy_of(log, versions[1], since=moments[1])
    log.close()
    judgement = read_json(project.judgement / "judgement.json", "make demo")
    frozen = next(line for line in judgement["lines"] if line["figure"] == "accuracy")
    windows = read_history(project)
    alarm = next(window for window in windows if window.alarm)
    return {
        "drift": drift,
        "severity": severity,
        "before": vars(before),
        "during": vars(during),
        "after": vars(after),
        "recovered": (after.value - during.value) / (before.value - during.value),
        "frozen": frozen,
        "windows_until_alarm": sum(moments[0] < window.end and window.number <= alarm.number for window in windows),
        "changed": moments[0].isoformat(),
        "swapped": moments[1].isoformat(),
        "windows": [shown(window) for window in windows],
    }


def accuracy_of(
    log: PredictionLog, version: str, since: datetime | None = None, until: datetime | None = None
) -> Estimate:
    window = log.read_window(since=since, until=until)
    labelled = (window.versions == version) & (window.labels >= 0)
    return proportion((window.predicted == window.labels)[labelled])


def shown(window: JudgedWindow) -> dict[str, Any]:
    accuracy = window.accuracy
    return {
        "end": window.end.isoformat(),
        "version": window.model_version,
        "predictions": window.predictions,
        "accuracy": vars(accuracy) if accuracy else None,
        "estimated_accuracy": window.estimated_accuracy,
        "score": max(window.scores.values()),
        "alarm": window.alarm,
    }


def run(project: Project, command: Sequence[str]) -> None:
    """Run to the end; a failure ends the demonstration with what was printed."""
    done = subprocess.run(
        command,
        cwd=project.root,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")


STARTED = time.monotonic()


def say(what: str, *commands: str) -> None:
    minutes, seconds = divmod(round(time.monotonic() - STARTED), 60)
    print(
        "\n".join([f"{minutes:3d}:{seconds:02d}  {what}", *(f"        $ {command}" for command in commands)]),
        flush=True,
    )


def render(results: dict[str, Any]) -> str:
    lines = [
        f"{measured_on(results['machine'])}; {results['minutes']:.1f} minutes for all changes below.",
        "",
        "| change | live accuracy before | during | after | loss recovered | frozen test set | windows until alarm "
        "| minutes from change to swap |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for story in results["stories"]:
        frozen = story["frozen"]
        change = 100 * (frozen["candidate"] - frozen["champion"])
        lost = f"{change:+.2f} points ({100 * frozen['low']:+.2f} to {100 * frozen['high']:+.2f})"
        cells = [
            f"{story['drift']}, severity {story['severity']}",
            *(percent(story[when]) for when in ("before", "during", "after")),
            f"{story['recovered']:.0%}",
            lost,
            str(story["windows_until_alarm"]),
            f"{minutes_since(story['changed'], story['swapped']):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def percent(accuracy: dict[str, Any]) -> str:
    return f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}, n = {accuracy['n']:,})"


def draw(story: dict[str, Any], path: Path) -> None:
    """Accuracy above, drift score below, over the minutes since the change."""
    moments = [minutes_since(story["changed"], window["end"]) for window in story["windows"]]
    alarms = [moment for moment, window in zip(moments, story["windows"], strict=True) if window["alarm"]]
    events = [(0.0, f"{story['drift']} sets in", "#9a6700")]
    events += [(alarm, "alarm\n ", "#cf222e") for alarm in alarms]
    events += [(minutes_since(story["changed"], story["swapped"]), "new champion", "#1a7f37")]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "demo", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        draw_accuracy(above, story["windows"], moments)
        scores = np.maximum([window["score"] for window in story["windows"]], LEAST_SCORE)
        below.plot(moments, scores, "o-", color="#57606a", markersize=4)
        below.axhline(1, color="#cf222e", linewidth=1, linestyle="--")
        below.set_yscale("log")
        below.set_ylabel("drift score\n(above 1: drifted)")
        below.set_xlabel("minutes since the change")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
            for moment, _, colour in events:
                axes.axvline(moment, color=colour, linewidth=1.2)
        for moment, name, colour in events:
            above.text(moment, 1.02, f" {name}", color=colour, transform=above.get_xaxis_transform())
        with atomic_file(path) as partial:
            figure.savefig(partial, format="svg", metadata={"Date": None})


def minutes_since(start: str, moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.fromisoformat(start)).total_seconds() / 60


def draw_accuracy(axes: Axes, windows: Sequence[dict[str, Any]], moments: Sequence[float]) -> None:
    labelled = [(moment, window) for moment, window in zip(moments, windows, strict=True) if window["accuracy"]]
    versions = sorted({window["version"] for _, window in labelled}, key=int)
    for version, colour in zip(versions, ("#0969da", "#1a7f37", "#8250df"), strict=False):
        chosen = [(moment, window["accuracy"]) for moment, window in labelled if window["version"] == version]
        values = np.array([accuracy["value"] for _, accuracy in chosen])
        spread = [
            values - [accuracy["low"] for _, accuracy in chosen],
            np.array([accuracy["high"] for _, accuracy in chosen]) - values,
        ]
        axes.errorbar(
            [moment for moment, _ in chosen],
            values,
            spread,
            fmt="o",
            color=colour,
            capsize=3,
            markersize=5,
            label=f"live, version {version}",
        )
    estimated = [window["estimated_accuracy"] for window in windows]
    axes.plot(moments, estimated, color="#8c959f", linestyle=":", label="estimated without labels")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_ylabel("accuracy, 95 % intervals")
    axes.legend(loc="lower left", frameon=False)


if __name__ == "__main__":
    main()
