"""Two LiteRT models are shown the same images, the same corrupted copies and the same slices."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.errors import ArtifactError, DataError
from fashion.evaluation.gates import Gate
from fashion.images.corruptions import CORRUPTIONS, SEVERITIES
from fashion.images.slices import WORDS
from fashion.params import load_params
from fashion.registry.contest import Task, gather, let_answer, set_task
from fashion.registry.judgement import judgement_from_dict
from fashion.registry.wording import figures_for_tags, markdown, rows, write_judgement
from tests.litert_models import band_images, write_band_model
from tests.projects import SOURCE, edit_params

SIZE, CLASSES = (12, 9), 3
NAMES = ("low", "middle", "high")
SHIPPED = load_params(SOURCE / "params.yaml")
CALIBRATION_UNJUDGED = "calibration error (one of the two makes fewer than 10 mistakes)"
PARAMS = SHIPPED.model_copy(update={"data": SHIPPED.data.model_copy(update={"classes": NAMES})})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One finds the bright band at any brightness, the other is as good on clean images, but not on dim ones."""
    folder = tmp_path_factory.mktemp("models")
    return (
        write_band_model(folder / "sturdy.tflite", SIZE, CLASSES),
        write_band_model(folder / "fragile.tflite", SIZE, CLASSES, embedding=False, sees_from=0.7),
    )


@pytest.fixture(scope="module")
def task():
    images = band_images(600, SIZE, CLASSES)
    labels = np.arange(600) % CLASSES
    return Task(
        NAMES, {"test": LabelledImages(images, labels)}, {"dark": images.mean(axis=(1, 2, 3)) < 70, "pale": labels < 0}
    )


def judge(task, candidate, champion):
    ours, theirs = let_answer("version 2", candidate, NAMES, task), let_answer("version 1", champion, NAMES, task)
    return ours, theirs, gather(task, ours, theirs, PARAMS)


def test_a_candidate_that_only_corrupted_images_show_to_be_worse_is_refused_for_that_alone(models, task):
    sturdy, fragile = models
    ours, theirs, evidence = judge(task, fragile, sturdy)
    assert evidence.test.accuracy.candidate == evidence.test.accuracy.champion == 1
    assert evidence.size.value < -0.1 * evidence.size.champion  # An objective is won.
    assert theirs.copies.correct["contrast"].mean() > ours.copies.correct["contrast"].mean() + 0.3
    for name in CORRUPTIONS:
        np.testing.assert_array_equal(ours.copies.rows[name], theirs.copies.rows[name])
    judgement = write_judgement(Gate(()), evidence, PARAMS.register_.judgement)
    assert not judgement.promoted
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its accuracy on corrupted images is below version 1's by more than the margin of 2 points"
    )
    assert "| accuracy on corrupted images | " in markdown(judgement)


def test_the_other_way_round_nothing_is_lost_and_a_slice_without_images_has_no_row(models, task):
    sturdy, fragile = models
    _, _, evidence = judge(task, sturdy, fragile)
    judgement = write_judgement(Gate(()), evidence, PARAMS.register_.judgement)
    verdicts = {line.figure: line.verdict for line in judgement.lines}
    assert verdicts["accuracy on corrupted images"] == "not worse"
    assert verdicts["accuracy on dark images"] == "not worse"
    assert "accuracy on pale images" not in verdicts
    assert not any("corrupted" in reason for reason in judgement.reasons)


def test_calibration_is_named_as_not_judged_where_one_of_the_two_makes_too_few_mistakes(models, task):
    _, _, evidence = judge(task, *models)
    judgement = write_judgement(Gate(()), evidence, PARAMS.register_.judgement)
    assert judgement.unjudged == (CALIBRATION_UNJUDGED,)
    assert f" Not judged: {CALIBRATION_UNJUDGED}." in markdown(judgement)
    (row,) = (row for row in rows(judgement) if row["figure"] == "calibration error")
    assert (row["95% interval"], row["verdict"]) == ("", "shown only")
    assert "interval" not in figures_for_tags(judgement)["judged_calibration_error"]
    labels = task.splits["test"].labels.copy()
    labels[:10] = (labels[:10] + 1) % CLASSES
    mistaken = replace(task, splits={"test": LabelledImages(task.splits["test"].images, labels)})
    assert judge(mistaken, *models)[2].unjudged == ()


@pytest.fixture(scope="module")
def two_bands(tmp_path_factory):
    """A model from before the third class."""
    return write_band_model(tmp_path_factory.mktemp("models") / "two.tflite", SIZE, 2)


def compare(task, candidate, champion, names):
    ours, theirs = let_answer("version 2", candidate, NAMES, task), let_answer("version 1", champion, names, task)
    return gather(task, ours, theirs, PARAMS)


def test_a_new_class_is_left_to_the_gates_and_all_else_is_judged_on_the_classes_that_both_know(models, two_bands, task):
    evidence = compare(task, models[0], two_bands, ("low", "middle"))
    assert (evidence.classes.new, evidence.classes.lost) == (("high",), ())
    assert (evidence.test.images, list(evidence.test.recalls)) == (400, ["low", "middle"])
    assert evidence.test.accuracy.candidate == 1  # On all images of these classes.
    assert evidence.test.corrupted.candidate < 1
    judgement = write_judgement(Gate(()), evidence, PARAMS.register_.judgement)
    assert (judgement.images, judgement.new_classes) == (400, ("high",))
    new = "new: high, judged by the gates alone, all else on the classes that version 1 knows"
    assert judgement.reasons[-1] == new
    assert judgement_from_dict(judgement.to_dict()) == judgement


def test_a_class_that_only_the_champion_knows_is_named_and_its_answers_count_as_wrong(models, task):
    evidence = compare(task, models[1], models[0], ("low", "middle", "top"))
    assert (evidence.classes.new, evidence.classes.lost) == (("high",), ("top",))
    assert evidence.test.images == 400
    judgement = write_judgement(Gate(()), evidence, PARAMS.register_.judgement)
    assert judgement.lost_classes == ("top",)
    assert judgement.reasons[-1] == "no longer known: top, which version 1 knows; a person has to agree to that"


def test_a_slice_of_a_new_class_alone_is_named_as_not_judged(models, two_bands, task):
    both = replace(task, slices={"rare_class": task.splits["test"].labels == 2, "dark": task.splits["test"].labels < 2})
    evidence = compare(both, models[0], two_bands, ("low", "middle"))
    assert list(evidence.test.slices) == ["dark"]
    assert evidence.unjudged == (
        f"{WORDS['rare_class']} (all of classes that only the candidate knows)",
        CALIBRATION_UNJUDGED,
    )


def test_recent_images_of_a_new_class_alone_judge_nobody(models, two_bands, task):
    high = task.splits["test"].labels == 2
    recent = LabelledImages(task.splits["test"].images[high], task.splits["test"].labels[high])
    both = replace(task, splits={**task.splits, "recent": recent})
    assert compare(both, models[0], models[1], NAMES).recent.images == 200
    assert compare(both, models[0], two_bands, ("low", "middle")).recent is None


def test_a_test_set_of_new_classes_alone_compares_nobody(models, two_bands, task):
    high = task.splits["test"].labels == 2
    test = LabelledImages(task.splits["test"].images[high], task.splits["test"].labels[high])
    new = replace(task, splits={"test": test}, slices={})
    with pytest.raises(DataError, match="no test image is of a class that version 1 knows"):
        compare(new, models[0], two_bands, ("low", "middle"))


def test_a_model_with_another_number_of_answers_than_classes_cannot_be_compared(models, task):
    with pytest.raises(ArtifactError, match="expected probabilities of 2 classes, found 3"):
        let_answer("version 1", models[0], ("low", "middle"), task)


def load(project):
    return load_params(project.params)


def test_slices_that_images_of_this_form_cannot_have_or_the_test_set_lacks_are_named(trained_project):
    task = set_task(trained_project, load(trained_project))
    assert set(task.slices) == set(WORDS) - {"pale"}
    assert task.slices["dark"].any()
    assert task.unjudged == (
        "pale images (not told apart in images of this form)",
        "images of rare classes (the test set has none)",
    )


def test_only_declared_slices_are_judged(trained_project):
    edit_params(trained_project, {"register": {"judgement": {"slices": ["dark"]}}})
    task = set_task(trained_project, load(trained_project))
    assert (set(task.slices), task.unjudged) == ({"dark"}, ())
    edit_params(trained_project, {"register": {"judgement": {"slices": []}}})
    assert set_task(trained_project, load(trained_project)).slices == {}


def test_an_evaluation_of_an_earlier_release_has_no_slices_and_that_is_said(trained_project):
    (trained_project.evaluation / "robustness.json").unlink()
    task = set_task(trained_project, load(trained_project))
    assert task.slices == {}
    (why,) = task.unjudged
    assert why.startswith("accuracy on slices, since artifacts/evaluation was made before slices were measured")
    assert "dvc repro evaluate" in why


UNKNOWN = {"name": "dark", "definition": "", "column": "mood", "below": 1, "labels": []}


@pytest.mark.parametrize("content", ["{", "{}", '{"slices": [1]}', json.dumps({"slices": [UNKNOWN]})])
def test_a_damaged_file_of_slices_says_how_to_make_it_again(trained_project, content):
    (trained_project.evaluation / "robustness.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"robustness\.json is damaged.*dvc repro evaluate"):
        set_task(trained_project, load(trained_project))


def test_evaluate_leaves_every_corruption_and_slice_with_its_number_of_images(trained_project):
    measured = json.loads((trained_project.evaluation / "robustness.json").read_text())
    rows = measured["corrupted"]["rows"]
    found = [(row["corruption"], row["severity"]) for row in rows]
    assert found == [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    assert {row["images"] for row in rows} == {40}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    slices = {one["name"]: one for one in measured["slices"]}
    assert slices["rare_class"]["images"] == 0
    assert slices["dark"]["images"] > 0
    figures = json.loads((trained_project.evaluation / "metrics.json").read_text())
    assert figures["corrupted_accuracy"] == measured["corrupted"]["mean"]["accuracy"] < figures["accuracy"]
