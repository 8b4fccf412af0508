"""`python -m benchmarks.experiments` on a few drawn images: what it trains, keeps, leaves out and writes."""

import base64
import json
import re
import shutil
import sys

import numpy as np

from fashion.paths import Project
from tests.faults.commands import must
from tests.projects import SOURCE, edit_params

QUICK = {"network": "baseline", "epochs": 2, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.003}
VARIANTS = ("rmsprop", "tanh")


def measure(project, output, *seeds):
    """What the benchmark prints, run from the sources on the data of this project."""
    sizes = ("--training", "200", "--aside", "100")
    command = (sys.executable, "-m", "benchmarks.experiments", "--project", str(project.root), *sizes)
    return must(Project(SOURCE), *command, "--output", str(output), "--variants", *VARIANTS, "--seeds", *seeds)


def test_changes_are_measured_once_against_the_recipe_and_shown_in_table_and_picture(small_project, tmp_path):
    edit_params(small_project, {"train": {"recipes": {"compact": QUICK}}})
    output = tmp_path / "results"
    output.mkdir()
    printed = measure(small_project, output, "1")
    trained = re.findall(r"^seed 1, (.+?): [\d.]+, [\d.]+ s$", printed, re.MULTILINE)
    assert trained[:3] == ["rmsprop at 0.0003", "rmsprop at 0.001", "rmsprop at 0.003"]
    assert trained[4:6] == ["rmsprop", "tanh"]
    assert [name.split()[0::2] for name in (trained[3], trained[6])] == [["compact", "first"], ["compact", "last"]]

    (folder,) = (small_project.state / "benchmark-experiments").iterdir()
    another = shutil.copytree(folder, folder.with_name("another"))
    about = json.loads((another / "about.json").read_text())
    (another / "about.json").write_text(json.dumps(about | {"processor": "another"}))
    pretend_second_seed(folder)
    printed = measure(small_project, output, "1", "2")
    assert not re.search(r"^seed ", printed, re.MULTILINE), "nothing is trained twice"
    assert f"Left out: 7 trainings in {another}, made with another processor" in printed

    figures = json.loads((output / "experiments.json").read_text())
    tanh = next(row for row in figures["variants"] if row["name"] == "tanh")
    assert tanh["seeds"] == [1, 2]
    assert tanh["low"] < tanh["difference"] < tanh["high"]
    assert figures["compact"]["training_images"] == 200
    assert figures["repeated"]
    assert 0.2 < tanh["cost"] < 5
    rmsprop = next(row for row in figures["variants"] if row["name"] == "rmsprop")
    rates = figures["rates"]["rmsprop"]
    assert rates[f"{rmsprop['rate']:g}"] == max(rates.values())
    compact = json.loads(next(folder.glob("1-compact*first*")).read_text())
    kept = [json.loads(path.read_text()) for path in folder.glob("1-rmsprop-*.json")]
    assert kept[0]["recipe"]["weight_decay"] * rmsprop["rate"] == 0.1 * compact["recipe"]["learning_rate"]

    page = (output / "experiments.md").read_text()
    assert f"| activation | `tanh` | {tanh['accuracy']:.2%} ± {tanh['deviation']:.2%} |" in page
    assert f"rmsprop: 0.0003 {rates['0.0003']:.2%}, 0.001 {rates['0.001']:.2%}" in page
    assert "of the 1 would do by chance" in page
    assert "Trainings whose loss became infinite: rmsprop, seed 2." in page
    assert (output / "experiments.svg").read_text().startswith("<?xml")


def pretend_second_seed(folder):
    """Keep rows of a second seed: every tenth answer of tanh is another one, and rmsprop has failed."""
    for path in folder.glob("1-*.json"):
        row = json.loads(path.read_text()) | {"seed": 2}
        right = np.unpackbits(np.frombuffer(base64.b64decode(row["right"]), np.uint8), count=row["images"])
        right[::10] ^= 1 if row["name"] == "tanh" else 0
        row |= {"right": base64.b64encode(np.packbits(right).tobytes()).decode(), "accuracy": float(right.mean())}
        if row["name"] == "rmsprop":
            row = {name: row[name] for name in ("name", "seed", "run")} | {"failed": "the loss is not finite"}
        path.with_name(f"2{path.name[1:]}").write_text(json.dumps(row))
