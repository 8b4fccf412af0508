"""`fashion learning-curve`: what it trains, what it keeps when it is stopped, what it says, and what it refuses."""

import json
import re
import signal
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.cli import app
from fashion.errors import ArtifactError, ParamsError, TrainingError
from fashion.experiments.learning_curve.measuring import Watch, kept_trainings, measure
from fashion.experiments.learning_curve.results import curve_of
from fashion.experiments.learning_curve.subject import Subject, choose_subject
from fashion.experiments.learning_curve.wording import curve_rows, forecast
from fashion.experiments.trial import Job, Outcome, images_of
from fashion.images.subsets import repeated_part
from fashion.pages.learning_curve import write_curve
from fashion.params import load_params, recipe_with
from tests.faults.commands import start
from tests.projects import SOURCE, edit_params
from tests.servers import wait_until

QUIET = Watch(lambda *_: None, lambda *_: None)


def kept_files(project):
    return sorted(path.name for path in (project.state / "learning_curves").glob("*/*.json"))


def type_curve(*options):
    return CliRunner().invoke(app, ["learning-curve", *options])


def test_a_curve_that_is_stopped_goes_on_where_it_was_and_is_shown(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    options = ("--sizes", "540,60", "--seeds", "2")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stopped = start(trained_project, "fashion", "learning-curve", *options)
        wait_until(lambda: kept_files(trained_project), stopped)
        stopped.send_signal(signal.SIGINT)
        output, _ = stopped.communicate()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.returncode == 130, output
    told = "4 trainings of baseline: 60 and 540 images, 2 seeds each, 96 steps a training, 384 in all; about "
    assert told in output
    assert re.search(r"Stopped after [123] of 4 trainings; they are kept", output)
    done = kept_files(trained_project)
    assert done[0] == "60-1.json"
    assert not list((trained_project.root / "artifacts").glob("learning_curves/*"))

    result = type_curve(*options)
    assert result.exit_code == 0, result.output
    assert f"{len(done)} of them done already, {4 - len(done)} left; about" in result.output
    assert re.search(r"60 images, seed 2: [\d.]+%, \d+ s; 1 left, about \d+ s", result.output)
    assert re.search(r"540 images, seed 2: [\d.]+%, \d+ s$", result.output, re.MULTILINE)
    assert re.search(r"The last step, from 60 to 540 images, 9 times as many, gained [\d.]+ points", result.output)
    assert kept_files(trained_project) == ["540-1.json", "540-2.json", "60-1.json", "60-2.json"]

    page = (trained_project.root / "artifacts" / "learning_curves" / "baseline.html").read_text()
    assert "n = 60 validation" in page
    assert not re.search(r"(src|href)=.https?://", page)
    figures = json.loads((trained_project.root / "artifacts" / "learning_curves" / "baseline.json").read_text())
    assert [point["size"] for point in figures["points"]] == [60, 540]
    assert figures["verdict"] in page
    trained = json.loads((trained_project.model / "training.json").read_text())
    assert figures["points"][1]["seeds"][0] == trained["validation_accuracy"], "all images: as fashion train trains"

    params = load_params(trained_project.params)
    subject = choose_subject(trained_project, params, None, [60, 540], 2)
    epochs = []
    again = measure(trained_project, subject, Watch(lambda *call: epochs.append(call), lambda *_: None))
    assert epochs == [], "nothing is trained twice"
    assert again.verdict == figures["verdict"]
    assert forecast(trained_project, subject, kept_trainings(trained_project, subject)).startswith(
        "4 trainings of baseline: 60 and 540 images, 2 seeds each, 96 steps a training, 384 in all; "
        "4 of them done already, 0 left."
    )


def a_subject(trained_project, **changes):
    subject = choose_subject(trained_project, load_params(trained_project.params), None, [60, 540], 2)
    return replace(subject, **changes)


def outcome(subject, share, seed=0):
    right = np.random.default_rng(seed).random(subject.validated) < share
    return Outcome(right, 3.0)


def test_what_is_kept_counts_for_the_same_data_and_recipe_alone(trained_project):
    subject = a_subject(trained_project)
    kept = kept_trainings(trained_project, subject)
    saved = outcome(subject, 0.7)
    kept.save(60, 1, saved)
    found = kept.load(60, 1)
    np.testing.assert_array_equal(found.right, saved.right)
    assert (found.accuracy, found.seconds) == (saved.accuracy, 3.0)
    assert kept.load(60, 2) is None
    bolder = replace(subject, recipe=recipe_with(subject.recipe, {"learning_rate": 0.004}))
    assert kept_trainings(trained_project, bolder).load(60, 1) is None
    (trained_project.dataset / "train_labels.npy").write_bytes(b"other data")
    assert kept_trainings(trained_project, subject).load(60, 1) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"right": "!", "images": 60, "seconds": 1}', None])
def test_a_damaged_file_is_said_and_its_training_done_again(trained_project, content, caplog):
    subject = a_subject(trained_project)
    kept = kept_trainings(trained_project, subject)
    kept.save(60, 1, outcome(subject, 0.7))
    (path,) = (trained_project.state / "learning_curves").glob("*/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": 600}) if content is None else content)
    assert kept.load(60, 1) is None
    assert f"{path} is damaged" in caplog.text


def test_a_training_that_fails_is_named_and_what_was_done_before_it_stays(trained_project):
    subject = a_subject(trained_project)
    exploding = replace(
        subject, recipe=recipe_with(subject.recipe, {"optimizer": "sgd", "learning_rate": 1000.0, "l2": 1000.0})
    )
    kept_trainings(trained_project, exploding).save(60, 1, outcome(subject, 0.5))
    with pytest.raises(TrainingError, match=r"baseline on 540 images with seed 1 failed: The loss is not finite"):
        measure(trained_project, exploding, QUIET)
    assert kept_files(trained_project) == ["60-1.json"]


def test_every_size_takes_about_as_many_steps_as_all_images(project):
    recipe = load_params(project.params).train.recipes["compact"]
    subject = Subject("compact", recipe, 54_000, 6_000, 10, (100, 3_375, 27_000, 40_000, 54_000), (1, 2))
    assert [subject.steps_for(size).total for size in subject.sizes] == [1470, 1470, 1470, 1404, 1470]
    assert subject.recipe_for(27_000) == subject.recipe_for(54_000) == recipe
    assert [size for size, _ in subject.trainings[:5]] == list(subject.sizes), "a stop leaves a curve of one seed"


def curve(accuracies, sizes, images=6_000):
    """Drawn answers: images differ in how hard they are; each size has a share that two seeds get right."""
    subject = Subject("compact", load_params(SOURCE / "params.yaml").train.chosen, sizes[-1], images, 10, sizes, (1, 2))
    random = np.random.default_rng(5)
    hardness = random.random(images)
    outcomes = {}
    for size, accuracy in zip(sizes, accuracies, strict=True):
        for seed in subject.seeds:
            right = hardness + random.normal(0, 0.02, images) < accuracy
            outcomes[size, seed] = Outcome(right, 1.0)
    return curve_of(subject, outcomes)


def test_the_last_doubling_is_said_to_help_only_where_that_is_certain():
    helped = curve([0.80, 0.85, 0.88], (1000, 2000, 4000))
    assert re.fullmatch(
        r"The last doubling, from 2,000 to 4,000 images, gained [23]\.\d\d points of accuracy "
        r"\(95 % interval \+[12]\.\d\d to \+[34]\.\d\d\): more images help\.",
        helped.verdict,
    )
    assert curve([0.8, 0.85, 0.85], (1000, 2000, 4000)).verdict.endswith("): more images are not shown to help.")
    worse = curve([0.8, 0.85, 0.8], (1000, 2000, 5000)).verdict
    assert "The last step, from 2,000 to 5,000 images, 2.5 times as many, lost" in worse
    assert worse.endswith("): more images made it worse.")
    rows = curve_rows(helped)
    assert [row["Images"] for row in rows] == ["1,000", "2,000", "4,000"]
    assert rows[0]["Gained"] == ""
    assert rows[1]["Gained"].startswith("+4.") or rows[1]["Gained"].startswith("+5.")


def test_the_page_is_text_and_its_figures_are_strict_json(project):
    found = curve([1.5, 1.5], (10, 20))
    named = replace(found, subject=replace(found.subject, name="..-<script>"))
    path = write_curve(project, named)
    assert path.parent == project.root / "artifacts" / "learning_curves"
    assert "<script>" not in path.read_text()
    assert "&lt;script&gt;" in path.read_text()
    figures = json.loads(path.with_suffix(".json").read_text())
    assert figures["points"][0]["high"] == 1
    assert figures["points"][0]["low"] < 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["--recipe", "unknown"],
            r"--recipe unknown: not one of the recipes in params.yaml \(baseline, .*compact, .*\)",
        ),
        (["--sizes", "100,541"], "541 is more than there are: 540 training images"),
        (["--sizes", "9,100"], "9 is fewer than the 10 classes"),
        (["--sizes", "-5,100"], "-5 is fewer than the 10 classes"),
        (["--sizes", "100"], "expected 2 to 20 different sizes, found 1"),
        (["--sizes", "100,100"], "expected 2 to 20 different sizes, found 1"),
        (["--sizes", "100,many"], "--sizes 100,many: expected whole numbers"),
        (["--sizes", ""], "expected whole numbers"),
        (["--sizes", "1e3,200"], "expected whole numbers"),
        (["--sizes", ",".join(str(number) for number in range(10, 40))], "found 30"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(trained_project, monkeypatch, options, reason):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    result = type_curve(*options)
    assert isinstance(result.exception, ParamsError)
    assert re.search(reason, str(result.exception))
    assert kept_files(trained_project) == []


def test_one_seed_is_not_enough_for_an_interval():
    result = type_curve("--seeds", "1")
    assert result.exit_code == 2
    assert "--seeds" in result.output


def test_without_a_dataset_the_command_that_makes_it_is_said(project):
    with pytest.raises(ArtifactError, match="dvc repro prepare"):
        choose_subject(project, load_params(project.params), None, None, 3)


def test_a_part_of_large_images_stays_on_the_disk(project):
    images = np.random.default_rng(0).integers(0, 256, (2000, 96, 96, 3), np.uint8)
    labels = np.arange(2000, dtype=np.uint8) % 10
    project.dataset.mkdir(parents=True)
    np.save(project.dataset / "train_images.npy", images)
    np.save(project.dataset / "train_labels.npy", labels)
    job = Job(project.root, load_params(project.params).train.chosen, 10, 1, images=500)
    tracemalloc.start()
    part = images_of(project, job)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2
    rows = repeated_part(labels, 500, 1)
    np.testing.assert_array_equal(part.images, images[rows])
    np.testing.assert_array_equal(part.labels, labels[rows])


def test_a_recipe_whose_network_takes_larger_images_alone_is_refused(project):
    params = edit_params(project, {"data": {"image_size": [8, 8]}})
    with pytest.raises(ParamsError, match="--recipe baseline: the network baseline takes images of at least 10 pixels"):
        choose_subject(project, params, "baseline", None, 3)


def test_without_sizes_all_images_are_halved_as_long_as_a_class_has_ten(trained_project):
    params = load_params(trained_project.params)
    assert choose_subject(trained_project, params, None, None, 3).sizes == (135, 270, 540)
    assert choose_subject(trained_project, params, "compact", None, 3).seeds == (1, 2, 3)
    many = edit_params(trained_project, {"data": {"classes": [f"Class {number}" for number in range(40)]}})
    with pytest.raises(ParamsError, match=r"540 training images in 40 classes: too few .* --sizes 270,540"):
        choose_subject(trained_project, many, None, None, 3)
    with pytest.raises(ParamsError, match="39 is fewer than the 40 classes"):
        choose_subject(trained_project, many, None, [39, 100], 3)
