from fashion.evaluation.gates import Gate, at_least, at_most, gate_from_dicts


def test_a_limit_is_met_when_it_is_reached():
    assert at_least("accuracy", 0.9, 0.9).passed
    assert at_most("latency", 20.0, 20.0).passed


def test_one_failed_check_fails_the_gate_and_is_named():
    gate = Gate((at_least("accuracy", 0.95, 0.9), at_least("recall of Shirt", 0.6, 0.7)))
    assert not gate.passed
    assert gate.failures == ["recall of Shirt is 0.6, limit 0.7"]


def test_a_value_that_is_not_a_number_never_passes():
    assert not at_least("accuracy", float("nan"), 0.0).passed
    assert not at_most("error", float("nan"), 1.0).passed


def test_a_gate_survives_its_file_format():
    gate = Gate((at_least("accuracy", 0.95, 0.9), at_most("bytes", 3, 2)))
    assert gate_from_dicts([{"model_sha256": "0", **gate.to_dict()}]) == gate
