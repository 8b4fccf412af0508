import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashion.adapters import litert
from fashion.errors import ArtifactError
from fashion.evaluation.abstention import UNLIKE, reasons
from fashion.evaluation.estimates import CALLS, TIMED_CALLS, CalibrationError, Estimate, exact, proportion_of
from fashion.evaluation.outputs import Outputs
from fashion.evaluation.quality import Quality, check_gates
from fashion.images.nonsense import draw_nonsense
from fashion.images.photos import form_of
from fashion.images.synthetic import draw
from fashion.loop.collect import collect
from fashion.model.networks import answer
from fashion.params import load_params
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split, read_history
from fashion.stages.evaluate import evaluate
from fashion.stages.prepare import prepare
from fashion.stages.reference import count_examples, read_descriptors, read_examples, read_reference, read_rule
from fashion.stages.validate import validate
from tests.projects import SOURCE, edit_params, log_predictions

PICTURES = ("training_curves", "confusion_matrix", "sample_predictions", "confident_mistakes", "calibration")


def test_every_test_image_is_counted_once(trained_project):
    figures = json.loads((trained_project.evaluation / "metrics.json").read_text())
    predictions = pd.read_parquet(trained_project.evaluation / "predictions.parquet")
    assert figures["images"] == len(predictions) == 200
    assert predictions["correct"].mean() == pytest.approx(figures["accuracy"])
    assert figures["accuracy_low"] < figures["accuracy"] < figures["accuracy_high"]
    assert sum(one["support"] for one in figures["per_class"].values()) == 200
    chosen = predictions["probabilities"].map(lambda probabilities: probabilities.argmax())
    assert (chosen == predictions["prediction"]).all()


def test_the_pictures_are_pictures(trained_project):
    for name in PICTURES:
        with Image.open(trained_project.evaluation / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert picture.convert("L").getextrema() != (255, 255)


@pytest.fixture
def measured(trained_project, monkeypatch):
    """What the stage holds against the limits of params.yaml, and those limits."""
    found = []

    def keep(quality, limits):
        found.append((quality, limits))
        return check_gates(quality, limits)

    monkeypatch.setattr("fashion.stages.evaluate.check_gates", keep)
    evaluate(trained_project, load_params(trained_project.params))
    return found[0]


def test_each_gate_fails_alone_when_its_limit_is_out_of_reach(measured):
    quality, shipped = measured
    limits = {
        "accuracy_at_least": (1.0, {"accuracy"}),
        "model_bytes_at_most": (1, {"model_bytes"}),
        "latency_milliseconds_at_most": (1e-9, {"latency_milliseconds"}),
    }
    for name, (limit, expected) in limits.items():
        gate = check_gates(quality, shipped.model_copy(update={name: limit}))
        assert {check.name for check in gate.checks if check.verdict == "failed"} == expected
    gate = check_gates(quality, shipped.model_copy(update={"recall_of_every_class_at_least": 1.0}))
    recalls = {check.name: check for check in gate.checks if check.name.startswith("recall of ")}
    assert len(recalls) == 10
    # A class of which every image is right may or may not have a recall of 1.
    assert {name: check.verdict for name, check in recalls.items()} == {
        name: "undecided" if check.value == 1 else "failed" for name, check in recalls.items()
    }


def test_a_limit_within_the_interval_is_undecided_in_the_file_and_lets_through(trained_project):
    figures = json.loads((trained_project.evaluation / "metrics.json").read_text())
    limit = (figures["accuracy"] + figures["accuracy_high"]) / 2
    assert limit > figures["accuracy"]
    params = edit_params(trained_project, {"evaluate": {"gates": {"accuracy_at_least": limit}}})
    gate = evaluate(trained_project, params).gate
    stored = json.loads((trained_project.evaluation / "gate.json").read_text())
    accuracy = stored["checks"][0]
    assert (stored["verdict"], accuracy["verdict"], gate.failures) == ("undecided", "undecided", [])
    assert (accuracy["low"], accuracy["high"], accuracy["n"]) == (
        figures["accuracy_low"],
        figures["accuracy_high"],
        200,
    )
    assert accuracy["needed"] > 200


def test_every_gate_shows_its_interval_and_what_it_rests_on(trained_project):
    figures = json.loads((trained_project.evaluation / "metrics.json").read_text())
    stored = json.loads((trained_project.evaluation / "gate.json").read_text())
    checks = {check["name"]: check for check in stored["checks"]}
    assert all(check["low"] <= check["value"] <= check["high"] for check in checks.values())
    corrected = checks["corrected_calibration_error"]
    assert (corrected["value"], corrected["low"], corrected["high"]) == tuple(
        figures[f"corrected_calibration_error{end}"] for end in ("", "_low", "_high")
    )
    assert figures["expected_calibration_error_bias"] > 0
    assert (checks["model_bytes"]["n"], checks["model_bytes"]["low"]) == (None, figures["model_bytes"])
    latency = checks["latency_milliseconds"]
    assert (latency["n"], latency["unit"]) == (TIMED_CALLS, "calls")
    assert latency["value"] == figures["latency_milliseconds"]
    shirt = checks["recall of Shirt"]
    assert shirt["n"] == figures["per_class"]["Shirt"]["support"]
    assert shirt["value"] == pytest.approx(figures["per_class"]["Shirt"]["recall"])


def test_abstention_on_drawn_nonsense_is_measured_and_gated(trained_project):
    figures = json.loads((trained_project.evaluation / "metrics.json").read_text())
    stored = json.loads((trained_project.evaluation / "gate.json").read_text())
    (gate,) = (check for check in stored["checks"] if check["name"] == "abstention_on_nonsense")
    assert gate["n"] == 600
    assert (
        gate["value"] == figures["abstained_on_nonsense"] == pytest.approx(np.mean([*figures["abstained_on"].values()]))
    )
    assert figures["abstained_on"]["noise, pictures"] == 1
    assert gate["value"] > 0.9
    assert figures["abstained"] < 0.2
    assert gate["verdict"] == "passed"


def test_a_model_that_answers_nonsense_fails_the_gate():
    def found(unanswered):
        one = exact(1.0)
        return Quality(one, {}, CalibrationError(0, 0, exact(0.0)), proportion_of(unanswered, 600), one, one)

    limits = load_params(SOURCE / "params.yaml").evaluate.gates
    assert [check_gates(found(number), limits).verdict for number in (500, 540, 580)] == [
        "failed",
        "undecided",
        "passed",
    ]
    assert check_gates(found(500), limits).failures == ["abstention_on_nonsense is 0.8333 (0.8014 to 0.861), limit 0.9"]


def test_no_number_is_named_where_nobody_can_have_more_images_or_calls():
    limits = load_params(SOURCE / "params.yaml").evaluate.gates
    latency = Estimate(19.0, 15.0, 25.0, TIMED_CALLS, CALLS)
    calibration = CalibrationError(0, 0, exact(0.0))
    quality = Quality(proportion_of(8954, 10_000), {}, calibration, proportion_of(548, 600), exact(1.0), latency)
    undecided = {
        check.name: check.outcome for check in check_gates(quality, limits).checks if check.verdict != "passed"
    }
    assert undecided == {
        "accuracy": "undecided: about 17,000 images would decide",
        "abstention_on_nonsense": "undecided",
        "latency_milliseconds": "undecided",
    }


def test_the_exported_model_abstains_where_the_model_does(trained_project):
    model, rule = load_classifier(trained_project.model_file), read_reference(trained_project.evaluation).abstention
    form = form_of(load_params(trained_project.params).data)
    groups = draw_nonsense(20, form, seed=5) | {"test": (load_split(trained_project, "test").images, None)}
    for name, (images, cluttered) in groups.items():
        ours, exported = answer(model, images), litert.predict(trained_project.export / "model.tflite", images)
        expected = reasons(rule, images, ours, cluttered)
        assert reasons(rule, images, exported, cluttered) == expected, name


def test_a_reference_of_before_there_was_an_appearance_is_still_read(trained_project, tmp_path):
    path = trained_project.evaluation / "reference.npz"
    with np.load(path) as arrays:
        earlier = {name: array for name, array in arrays.items() if not name.startswith("appearance")}
    np.savez(tmp_path / "reference.npz", **earlier)
    now, before = read_reference(trained_project.evaluation).abstention, read_reference(tmp_path).abstention
    assert now.appearance is not None
    assert before.appearance is None
    assert before.distance_limit == now.distance_limit
    assert read_rule(tmp_path / "nowhere") is None


def test_a_reference_of_when_the_looks_had_one_centre_is_still_read_and_answers_as_it_did(trained_project, tmp_path):
    with np.load(trained_project.evaluation / "reference.npz") as arrays:
        earlier = {name: array for name, array in arrays.items() if not name.startswith("appearance")}
    earlier |= {"distance_limit": 2.0, "confidence_limit": 0.0}
    centre = np.array([0.1, 0, 0, 0, 0.1], np.float32)  # Mean and border of a plain image of 25.5 grey levels.
    precision = np.diag([100, 1, 1, 1, 50]).astype(np.float32)
    np.savez(
        tmp_path / "reference.npz",
        **earlier,
        appearance_centre=centre,
        appearance_precision=precision,
        appearance_limit=1.6,
    )
    rule = read_reference(tmp_path).abstention
    plain = np.repeat(np.uint8([0, 51, 56, 255]), 28 * 28).reshape(4, 28, 28, 1)
    outputs = Outputs(np.empty((4, 0)), np.full((4, 2), 0.5), rule.neighbours[:4])
    # The squared Mahalanobis distances are 150 times the square of 0.1, 0.1, 0.12 and 0.9: 1.5, 1.5, 2.15 and 121.5.
    assert reasons(rule, plain, outputs) == [None, None, UNLIKE, UNLIKE]


def test_a_version_keeps_fewer_examples_of_large_images():
    assert [count_examples((28, 28, 1)), count_examples((64, 64, 3))] == [2000, 2000]
    for shape in ((224, 224, 3), (1024, 1024, 3), (1024, 768, 1)):
        assert 1 << 25 < count_examples(shape) * math.prod(shape) <= 1 << 26


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 cut off"])
def test_a_damaged_model_is_one_clear_error(trained_project, content):
    trained_project.model_file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.keras is not a model of this project"):
        evaluate(trained_project, load_params(trained_project.params))


def test_a_missing_model_says_how_to_make_it(small_project):
    with pytest.raises(ArtifactError, match="dvc repro train"):
        evaluate(small_project, load_params(small_project.params))


def test_a_damaged_history_is_one_clear_error(trained_project):
    (trained_project.model / "history.csv").write_text("")
    with pytest.raises(ArtifactError, match="dvc repro train"):
        read_history(trained_project)


def test_the_reference_is_what_the_model_says_about_the_validation_images(trained_project):
    reference = read_reference(trained_project.evaluation)
    labels = np.load(trained_project.dataset / "validation_labels.npy")
    assert (reference.labels == labels).all()
    assert (reference.predicted == reference.probabilities.argmax(axis=1)).all()
    assert reference.embeddings.shape[0] == len(labels)
    assert reference.embeddings.dtype == reference.probabilities.dtype == np.float32
    descriptors = read_descriptors(trained_project.evaluation)
    images = np.load(trained_project.dataset / "validation_images.npy")
    assert descriptors["mean"].to_numpy() == pytest.approx(images.mean(axis=(1, 2, 3)))


def test_a_registered_version_carries_its_reference_beside_the_model(trained_project):
    (beside,) = (trained_project.state / "mlflow").glob("**/extra_files")
    assert read_reference(beside).abstention.confidence_limit == 0.5
    assert len(read_examples(beside).labels) == 540
    assert len(read_descriptors(beside)) == len(read_reference(trained_project.evaluation).labels)


def test_the_examples_are_training_images_with_their_labels(trained_project):
    examples = read_examples(trained_project.evaluation)
    images, labels = (np.load(trained_project.dataset / f"train_{kind}.npy") for kind in ("images", "labels"))
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert [known[image.tobytes()] for image in examples.images] == list(examples.labels)
    assert len(examples.embeddings) == len(examples.images)


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 cut off"])
def test_a_damaged_reference_is_one_clear_error(trained_project, content):
    (trained_project.evaluation / "reference.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"reference\.npz is damaged"):
        read_reference(trained_project.evaluation)


def test_the_reference_says_whether_the_model_has_learned_from_collected_images(trained_project):
    assert not read_reference(trained_project.evaluation).learned_collected
    log_predictions(trained_project, *draw(350, 10, (28, 28), seed=11))
    params = load_params(trained_project.params)
    collect(trained_project, params)
    validate(trained_project, params)
    prepare(trained_project, params)
    evaluate(trained_project, params)
    reference = read_reference(trained_project.evaluation)
    assert reference.learned_collected
    validation = load_split(trained_project, "validation")
    np.testing.assert_array_equal(reference.labels, validation.labels)
    assert len(read_descriptors(trained_project.evaluation)) == len(reference.embeddings) == len(validation.labels)
