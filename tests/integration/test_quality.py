import json

import pandas as pd
import pytest

from fashion.adapters.quality import check, required_mix
from fashion.errors import SuiteError

TABLE = pd.DataFrame({"label": [0, 1, 7, 1], "mean": [10.0, 20.0, 30.0, 200.0]}, index=[3, 4, 5, 6])
IN_SET = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "label", "value_set": [0, 1]}}
COUNT = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 4}}
BALANCE = {
    "type": "expect_column_kl_divergence_to_be_less_than",
    "kwargs": {"column": "label", "partition_object": {"values": [0, 1], "weights": [0.5, 0.5]}, "threshold": 0.1},
}


def entry(expectation, on_breach="warn", reason="because"):
    return {**expectation, "meta": {"on_breach": on_breach, "reason": reason}}


def suite(tmp_path, *entries):
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"name": "some", "expectations": entries}))
    return path


def run(tmp_path, *entries):
    return check({suite(tmp_path, *entries): TABLE})


def test_a_finding_says_which_rows_breach_and_what_follows(tmp_path):
    (finding,) = run(tmp_path, entry(IN_SET, "quarantine", "no such class"))
    assert not finding.success
    assert finding.rows == (5,)
    assert (finding.suite, finding.on_breach, finding.reason) == ("some", "quarantine", "no such class")


def test_findings_about_the_table_carry_what_was_observed(tmp_path):
    count, balance = run(tmp_path, entry(COUNT), entry(BALANCE, "fail"))
    assert (count.success, count.observed, count.rows) == (True, 4, ())
    assert (balance.success, balance.observed) == (False, None)  # Infinite: class 7 is not expected at all.


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{'name': ", "some.json is not JSON"),
        (b"\xff\xfe\x00", "some.json is not JSON"),
        (b"[]", "some.json cannot be used"),
        (b'{"name": "some", "expectations": []}', "expectations: .*at least 1 item"),
    ],
)
def test_a_file_that_is_no_suite_is_named(tmp_path, content, complaint):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=complaint):
        check({path: TABLE})


def test_a_missing_suite_is_named_with_the_command_that_restores_it(tmp_path):
    with pytest.raises(SuiteError, match="some.json is missing; restore it with: git checkout"):
        check({tmp_path / "some.json": TABLE})


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (entry({"type": "expect_miracles", "kwargs": {}}), "some.json: expect_miracles is not an expectation"),
        (
            entry({**IN_SET, "kwargs": {"colunm": "label"}}),
            "some.json: expect_column_values_to_be_in_set cannot be used",
        ),
        (IN_SET, "expectations.1.meta: Field required"),
        ({**IN_SET, "meta": {"reason": "because"}}, "expectations.1.meta.on_breach: Field required"),
        (entry(IN_SET, on_breach="explode"), "expectations.1.meta.on_breach: .*'quarantine', 'fail' or 'warn'"),
        (entry(IN_SET, reason=""), "expectations.1.meta.reason"),
        ({**entry(IN_SET), "extra": 1}, "expectations.1.extra"),
        (entry(COUNT, on_breach="quarantine"), "some.json: expect_table_row_count_to_equal is about the whole table"),
        (
            entry({**IN_SET, "kwargs": {"column": "colour", "value_set": [0]}}),
            "some.json: expect_column_values_to_be_in_set could not be checked: .*colour",
        ),
        (entry({**BALANCE, "kwargs": {**BALANCE["kwargs"], "partition_object": {}}}), "some.json"),
    ],
)
def test_an_expectation_that_cannot_be_checked_is_named(tmp_path, bad, complaint):
    with pytest.raises(SuiteError, match=complaint):
        run(tmp_path, entry(COUNT), bad)


def test_the_mix_of_classes_that_a_suite_asks_for_is_known(tmp_path):
    mix = required_mix(suite(tmp_path, entry(COUNT), entry(BALANCE, "fail")))
    assert (list(mix.classes), list(mix.shares), mix.divergence) == ([0, 1], [0.5, 0.5], 0.1)
    assert required_mix(suite(tmp_path, entry(COUNT), entry(BALANCE, "warn"))) is None
    with pytest.raises(SuiteError, match="some.json: .* cannot be used: KeyError"):
        required_mix(suite(tmp_path, entry({**BALANCE, "kwargs": {"column": "label", "threshold": 0.1}}, "fail")))
