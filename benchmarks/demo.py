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
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml

from benchmarks.processes import free_port, run, running, wait_for
from benchmarks.projects import make_project
from benchmarks.results import ROOT, machine
from benchmarks.story import draw, render, summarise
from fashion.images.idx import write_idx, write_images
from fashion.params import load_params
from fashion.paths import Project
from fashion.reading import read_json
from fashion.settings import headers_for_prefect
from fashion.stages.raw import read_raw
from fashion.storage import file_digest, write_json, write_text

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
PATIENCE_SECONDS = 900.0
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
    """Make a project with a champion that has never seen 10,000 of the training images, and a copy of it."""
    say("A project of its own, with 10,000 training images set aside as traffic")
    shutil.rmtree(folder, ignore_errors=True)
    project = make_project(folder / "project")
    set_aside(project)
    os.environ["PREFECT_API_URL"] = "http://127.0.0.1:9/api"  # Nobody: the first training has a server of its own.
    say("The first champion", "make run")
    run([sys.executable, "-m", "flows.training", "--reason", "first"], project.root)
    shutil.copytree(project.root, folder / "base", symlinks=True)
    return project, folder / "base"


def forecast(prepared: float, stories: int) -> str:
    """Say how long the rest takes, if it is as many times slower than where it was published as the beginning was."""
    published = read_json(PUBLISHED["demo.json"], "git checkout -- benchmarks/demo.json")
    alone = (published["minutes"] - published["prepared_minutes"]) / len(published["stories"])
    minutes = stories * alone * prepared / 60 / published["prepared_minutes"]
    return f"About {minutes:.0f} minutes more on this machine, by how long that took"


def set_aside(project: Project) -> None:
    """Take the traffic out of the training images, and let the project say that this is its data."""
    from fashion.adapters.versioning.pinning import pin

    params = load_params(project.params)
    train = read_raw(project, params.data)["train"]
    order = np.random.default_rng(0).permutation(len(train.labels))
    for number in range(WINDOWS):
        window = order[number * WINDOW : (number + 1) * WINDOW]
        images, labels = traffic(project, number)
        images.parent.mkdir(parents=True, exist_ok=True)
        images.write_bytes(write_images(train.images[window]))
        labels.write_bytes(write_idx(train.labels[window].astype(np.uint8)))
    rest = order[WINDOW * WINDOWS :]
    content = yaml.safe_load(project.params.read_text(encoding="utf-8"))
    left = {
        "train_images": write_images(train.images[rest]),
        "train_labels": write_idx(train.labels[rest].astype(np.uint8)),
    }
    for name, file in left.items():
        path = project.data / content["data"][name]["name"]
        path.write_bytes(file)
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
    """Return the files with the images and the labels of a window."""
    folder = project.state / "traffic"
    return folder / f"{number}-images.gz", folder / f"{number}-labels.gz"


@contextmanager
def services(project: Project) -> Iterator[str]:
    """Run everything that runs all the time; yield the address of the service that predicts."""
    port = free_port()
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    os.environ["FASHION_MLFLOW_PORT"] = str(free_port())
    os.environ["FASHION_SERVE_PORT"] = str(port)
    os.environ["FASHION_HOME"] = str(project.root)
    address = f"http://127.0.0.1:{port}"
    say("Prefect, MLflow and a worker; then the service", "make up", "fashion serve")
    log = project.state / "up.txt"
    with running([sys.executable, "-m", "flows.services", "up"], project.root, log):
        while "Worker 'fashion' started" not in log.read_text(encoding="utf-8"):
            time.sleep(0.5)
        with running(["fashion", "serve"], project.root, project.state / "serve.txt"):
            wait_for(f"{address}/readyz")
            yield address


def tell(project: Project, address: str, drift: str, severity: str) -> dict[str, Any]:
    """Live through one change, and return what was seen."""
    first = version_at(address)
    windows = iter(range(WINDOWS))
    for _ in range(CLEAN):
        send(project, next(windows))
        look(project)
    changed = datetime.now(UTC)
    say(f"The world changes: {drift}, severity {severity}")
    while (version := version_at(address)) == first:
        if (datetime.now(UTC) - changed).total_seconds() > PATIENCE_SECONDS:
            raise SystemExit(f"No new champion within {PATIENCE_SECONDS:.0f} s; Prefect says: {runs_of_retraining()}")
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
    run(["fashion", "simulate", *sent, *change, "--source", *map(str, traffic(project, number))], project.root)


def look(project: Project) -> None:
    """Let the monitor look once, in Prefect's worker, and print what it saw."""
    from fashion.loop.monitor import read_history

    time.sleep(2)  # The youngest predictions are left for the next look.
    run(["prefect", "deployment", "run", "monitoring/default", "--watch"], project.root)
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


STARTED = time.monotonic()


def say(what: str, *commands: str) -> None:
    minutes, seconds = divmod(round(time.monotonic() - STARTED), 60)
    print(
        "\n".join([f"{minutes:3d}:{seconds:02d}  {what}", *(f"        $ {command}" for command in commands)]),
        flush=True,
    )


if __name__ == "__main__":
    main()
