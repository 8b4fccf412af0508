from dataclasses import replace

import pytest

from fashion.adapters.machine import describe_machine
from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.gates import Gate, at_least
from fashion.images.photos import form_of
from fashion.params import load_params
from fashion.registry.card import describe_model, model_card
from fashion.registry.origin import Code, Data, Origin, Split, Validation
from tests.projects import SOURCE

SECTIONS = [
    *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
    *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
]
"""Mitchell and others 2019, figure 1, in its order."""
HOSTILE = "<script>|*&" + "ä" * 89


@pytest.fixture
def params():
    return load_params(SOURCE / "params.yaml")


def origin():
    return Origin(
        code=Code("0" * 40, "", False, (), ()),
        requirements_sha256=None,
        data=Data("abc.dir", False, {}),
        validation=Validation(800, 3, "0"),
        split=Split({"train": 500, "validation": 97, "test": 200}, 0.1, 0),
        training={
            "network": "compact",
            "recipe": "compact",
            "seed": 1,
            "parameters": 1000,
            "epochs": 2,
            "temperature": 1.0,
        },
        machine=describe_machine(),
        model_sha256="0",
        metrics={"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.93, "images": 200, "abstained": 0.02},
        gates=(),
        pipeline={},
    )


def gate(classes):
    recalls = [
        at_least(f"recall of {name}", proportion_of(50 + place % 40, 100), 0.7) for place, name in enumerate(classes)
    ]
    return Gate((at_least("accuracy", proportion_of(180, 200), 0.8), *recalls))


def card_of(params, known=None):
    classes = params.data.classes
    return model_card(known or origin(), classes, form_of(params.data), gate(classes))


def test_the_card_has_every_section_in_its_order_and_says_what_nobody_has_stated(params):
    card = card_of(params)
    assert [line.removeprefix("### ") for line in card.splitlines() if line.startswith("### ")] == SECTIONS
    assert card.startswith("Accuracy 90.00% on 200 test images (95 % interval 85.00% to 93.00%)\n")
    assert card.count("ot stated.") == 3
    rows = [line for line in card.splitlines() if line.startswith(("| T-shirt", "| Trouser", "| Pullover"))]
    assert [row.split("|")[2].strip() for row in rows] == ["0.500", "0.510", "0.520"]


def test_a_card_of_drawn_images_says_so_at_once(params):
    drawn = replace(origin(), data=Data("abc.dir", True, {}))
    assert "drawn images" in card_of(params, drawn).splitlines()[0]


def test_as_many_classes_as_there_may_be_fit_with_the_worst_first_and_the_rest_counted(params):
    classes = tuple(f"{HOSTILE[:96]}{number:03}" for number in range(256))
    form = form_of(params.data)
    card = model_card(origin(), classes, form, gate(classes))
    shown = card.count("| \\<script")
    assert 5 < shown < 256
    assert len(card) <= 5000
    assert f"{256 - shown} more classes with recalls from " in card
    assert "<script" not in card.replace("\\<script", "")
    assert len(describe_model(classes, form)) <= 5000


def test_a_version_whose_gates_had_no_intervals_has_a_card_without_their_table(params):
    card = model_card(origin(), params.data.classes, form_of(params.data), None)
    assert [line.removeprefix("### ") for line in card.splitlines() if line.startswith("### ")] == SECTIONS
    assert "Of its gates no intervals were kept" in card


def test_a_card_names_the_backbone_and_the_digest_of_its_weights(params):
    backbone = {"name": "MobileNetV2", "sha256": "1" * 64, "head": {"validation_accuracy": 0.8}}
    on_it = replace(origin(), training=origin().training | {"backbone": backbone})
    assert f"Built on MobileNetV2 with the weights of SHA-256 {'1' * 64}, fine-tuned. Made from" in card_of(
        params, on_it
    )
    assert "Built on" not in card_of(params)
