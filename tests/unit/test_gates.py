import json
from dataclasses import asdict

import pytest

from fashion.evaluation.estimates import CALLS, Estimate, exact, proportion_of
from fashion.evaluation.gates import Gate, at_least, at_most, gate_from_dict

WIDE = Estimate(0.9, 0.85, 0.95, 100)


@pytest.mark.parametrize(("limit", "verdict"), [(0.84, "passed"), (0.85, "passed"), (0.86, "undecided")])
def test_a_lower_limit_is_met_when_the_whole_interval_reaches_it(limit, verdict):
    assert at_least("accuracy", WIDE, limit).verdict == verdict


@pytest.mark.parametrize(("limit", "verdict"), [(0.94, "undecided"), (0.95, "undecided"), (0.96, "failed")])
def test_a_lower_limit_is_missed_when_the_whole_interval_does(limit, verdict):
    assert at_least("accuracy", WIDE, limit).verdict == verdict


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(0.96, "passed"), (0.95, "passed"), (0.94, "undecided"), (0.85, "undecided"), (0.84, "failed")],
)
def test_an_upper_limit_is_the_same_turned_round(limit, verdict):
    assert at_most("error", WIDE, limit).verdict == verdict


def test_an_exact_figure_is_never_undecided():
    assert [at_most("bytes", exact(3), limit).verdict for limit in (2, 3, 4)] == ["failed", "passed", "passed"]
    assert [at_least("agreement", exact(0.9), limit).verdict for limit in (0.8, 0.9, 1)] == [
        "passed",
        "passed",
        "failed",
    ]


def test_a_value_that_is_not_a_number_fails():
    assert at_least("accuracy", exact(float("nan")), 0.0).verdict == "failed"
    assert at_most("error", exact(float("nan")), 1.0).verdict == "failed"


def test_one_failed_check_fails_the_gate_and_is_named_with_its_interval():
    gate = Gate(
        (
            at_least("accuracy", proportion_of(8_800, 10_000), 0.9),
            at_least("recall of Shirt", proportion_of(690, 1_000), 0.7),
            at_most("model_bytes", exact(5_000_001), 5_000_000),
        )
    )
    assert gate.verdict == "failed"
    assert gate.failures == [
        "accuracy is 0.88 (0.8735 to 0.8862), limit 0.9",
        "model_bytes is 5,000,001, limit 5,000,000",
    ]
    assert gate.summary == f"gates failed: {'; '.join(gate.failures)}"
    assert gate.count == "3 gates: 2 failed, 1 undecided"


def test_an_undecided_check_is_told_with_the_images_or_calls_that_would_decide():
    accuracy = at_least("accuracy", proportion_of(8_954, 10_000), 0.9)
    latency = at_most("latency_milliseconds", Estimate(1.0, 0.8, 1.4, 50, CALLS), 1.2)
    assert accuracy.outcome == "undecided: about 17,000 images would decide"
    assert latency.outcome == "undecided: about 200 calls would decide"
    gate = Gate((accuracy, latency, at_most("bytes", exact(3), 4)))
    assert gate.verdict == "undecided"
    assert gate.failures == []
    assert gate.summary == (
        "no gate failed, 2 undecided: accuracy is 0.8954 (0.8892 to 0.9012), limit 0.9; "
        "latency_milliseconds is 1 (0.8 to 1.4), limit 1.2"
    )
    assert gate.count == "3 gates: 0 failed, 2 undecided, 1 passed"


def test_no_number_of_images_is_named_where_the_value_is_the_limit():
    assert at_least("accuracy", proportion_of(900, 1_000), 0.9).outcome == "undecided"


def test_all_gates_passed_is_said_only_where_all_were():
    gate = Gate((at_least("accuracy", proportion_of(9_300, 10_000), 0.9), at_most("bytes", exact(3), 4)))
    assert (gate.verdict, gate.summary, gate.count) == ("passed", "all gates passed", "All 2 gates passed")
    assert all(check.needed is None for check in gate.checks)


def test_a_row_shows_value_interval_limit_and_verdict():
    assert at_least("recall of Shirt", proportion_of(690, 1_000, 0.995), 0.7).row() == {
        "gate": "Recall of Shirt",
        "value": "0.69",
        "interval": "0.6476 to 0.7294",
        "limit": "0.7",
        "verdict": "undecided: about 17,000 images would decide",
    }
    assert at_most("model_bytes", exact(1_234_567), 5_000_000).row()["interval"] == ""


def test_a_name_is_shown_in_words_and_that_of_a_class_as_it_is():
    names = ("model_bytes", "recall of great_white_shark", "recall of great white shark")
    assert [at_least(name, exact(1), 1).row()["gate"] for name in names] == [
        "Model bytes",
        "Recall of great_white_shark",
        "Recall of great white shark",
    ]


def test_a_gate_survives_its_file_format():
    gate = Gate((at_least("accuracy", WIDE, 0.9), at_most("bytes", exact(3), 2)))
    stored = json.loads(json.dumps({"model_sha256": "0", **gate.to_dict()}))
    assert gate_from_dict(stored) == gate
    assert stored["checks"][0] == asdict(gate.checks[0])


def test_the_form_of_before_there_were_intervals_is_refused():
    with pytest.raises(TypeError):
        gate_from_dict({"checks": [{"name": "accuracy", "value": 0.9, "limit": 0.8, "passed": True}]})
