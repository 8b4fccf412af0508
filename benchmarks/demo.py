"""The whole loop as it is lived: a champion serves, the world changes, accuracy falls, and comes back by itself.

    make demo                                                          # one change; ten minutes on two cores
    python -m benchmarks.demo --drifts rotation:3 brightness:4 blur:5 --publish
    python -m benchmarks.demo --pictures ~/Pictures/birds              # on a folder of your own, by fashion import

It types what a user types, against real services on free ports, in a project of its own under .state/demo. Of the
training images 10,000 are set aside before the first training, or half of them where there are fewer than 20,000: they
are the traffic, and no image is sent twice. The test images are only what they always are, the frozen test set. The
service asks for every label, and every one is told; in production it asks for a few, at random (collect.asked_share),
and the same takes that much longer.
Results and a picture of the first change are in .state/demo; with --publish also in benchmarks/demo.json,
benchmarks/demo.md and docs/demo.svg.
"""

import argparse
import itertools
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import free_port, run, running, wait_for
from benchmarks.projects import commit_all, copy_project, make_project
from benchmarks.results import ROOT, machine
from benchmarks.story import draw, render, summarise
from benchmarks.traffic import count_windows, set_aside, traffic
from fashion.images.idx import read_idx_shape
from fashion.params import load_params
from fashion.paths import Project
from fashion.reading import read_json
from fashion.settings import headers_for_prefect
from fashion.storage import write_json, write_text

PUBLISHED = {
    "demo.json": Path(__file__).with_suffix(".json"),
    "demo.md": Path(__file__).with_suffix(".md"),
    "demo.svg": ROOT / "docs" / "demo.svg",
}
CLEAN, DRIFTED, AFTER = 3, 3, 3
"""Windows before the change; those that an alarm may need, before any are kept back; and those for the new champion."""
RATE = 100
PATIENCE_SECONDS = 300.0
"""Seconds without a window or a retraining at work, after which no new champion is expected."""
PAUSE = 20.0
"""Seconds between windows after the change: the training needs the processor, too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = "what changes and how much; fashion simulate --drift list names the kinds"
    parser.add_argument("--drifts", nargs="+", default=["rotation:3"], metavar="KIND:SEVERITY", help=kinds)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="a folder, one below it for each class")
    parser.add_argument("--publish", action="store_true", help="let README and docs show these results")
    arguments = parser.parse_args()
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by SIGTERM"))  # Services are ended, too, then.
    if arguments.pictures and arguments.publish:
        parser.error("README and docs show the demo on the dataset that is shipped: leave out --pictures or --publish")
    project, base = prepare(ROOT / ".state" / "demo", arguments.pictures)
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


def prepare(folder: Path, pictures: Path | None) -> tuple[Project, Path]:
    """Make a project with a champion that has never seen the images which are the traffic, and a copy of it."""
    say("A project of its own, with training images set aside as traffic")
    shutil.rmtree(folder, ignore_errors=True)
    project = import_pictures(folder / "project", pictures) if pictures else make_project(folder / "project")
    say(f"{set_aside(project):,} images are set aside")
    os.environ["PREFECT_API_URL"] = "http://127.0.0.1:9/api"  # Nobody: the first training has a server of its own.
    say("The first champion", "make run")
    run([sys.executable, "-m", "flows.training", "--reason", "first"], project.root)
    shutil.copytree(project.root, folder / "base", symlinks=True)
    return project, folder / "base"


def import_pictures(folder: Path, pictures: Path) -> Project:
    project = copy_project(folder)
    commit_all(project)
    say("The pictures", f"fashion import {pictures}")
    run(["fashion", "import", str(pictures.expanduser().resolve()), "--name", "demo", "--yes"], folder)
    return project


def forecast(prepared: float, stories: int) -> str:
    """Say how long the rest takes, if it is as many times slower than where it was published as the beginning was."""
    published = read_json(PUBLISHED["demo.json"], "git checkout -- benchmarks/demo.json")
    alone = (published["minutes"] - published["prepared_minutes"]) / len(published["stories"])
    minutes = stories * alone * prepared / 60 / published["prepared_minutes"]
    return f"About {minutes:.0f} minutes more on this machine, by how long that took"


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
    numbers = range(count_windows(project))
    for number in numbers[:CLEAN]:
        send(project, number)
        look(project)
    changed = datetime.now(UTC)
    say(f"The world changes: {drift}, severity {severity}")
    windows = iter(numbers[CLEAN:])
    during = itertools.islice(windows, max(DRIFTED, len(numbers) - CLEAN - AFTER))
    expected_since = time.monotonic()
    while (version := version_at(address)) == first:
        window = next(during, None)
        if window is not None:
            send(project, window, drift, severity)
            look(project)
        # The windows that are left are for the new champion, however long this machine trains.
        elif time.monotonic() - expected_since > PATIENCE_SECONDS:
            raise SystemExit(f"There is no new champion; Prefect says: {runs_of_retraining()}")
        if window is not None or any(" is Running" in run for run in runs_of_retraining()):
            expected_since = time.monotonic()
        time.sleep(PAUSE)
    swapped = datetime.now(UTC)
    say(f"Version {version} has taken over")
    for number in itertools.islice(windows, AFTER):
        send(project, number, drift, severity)
        look(project)
    return summarise(project, drift, severity, (first, version), (changed, swapped))


def send(project: Project, number: int, drift: str | None = None, severity: str = "0") -> None:
    change = ["--drift", drift, "--severity", severity] if drift else []
    with traffic(project, number)[1].open("rb") as labels:
        (count,) = read_idx_shape(labels, labels.name, 1)
    sent = ["--images", str(count), "--rate", str(RATE), "--seed", str(number)]
    run(["fashion", "simulate", *sent, *change, "--source", *map(str, traffic(project, number))], project.root)


def look(project: Project) -> None:
    """Let the monitor look once, in Prefect's worker, and print what it saw."""
    from fashion.loop.monitor import read_history

    params = load_params(project.params)
    known = len(read_history(project, params))
    time.sleep(2)  # The youngest predictions are left for the next look.
    run(["prefect", "deployment", "run", "monitoring/default", "--watch"], project.root)
    windows = read_history(project, params)
    if len(windows) == known:
        print("        no window yet: the first predictions of a new champion become its reference (monitor.settling)")
        return
    window = windows[-1]
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
        timeout=75,  # Prefect waits for its database for up to a minute.
    ).raise_for_status()
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
