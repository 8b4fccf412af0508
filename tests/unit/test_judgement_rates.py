"""The rule's error rates, by few draws; `python -m benchmarks.judgement` makes many."""

from pathlib import Path

import pytest

from fashion.evaluation.error_rates.judgement import DISCORDANT, WAYS, Case, measure, measure_recent
from fashion.params import load_params

RULE = load_params(Path(__file__).parents[2] / "params.yaml").register_.judgement


@pytest.mark.parametrize("images", [1_000, 10_000])
def test_a_candidate_worse_by_the_margin_is_hardly_ever_promoted(images):
    case = Case("worse", images, 0.06, (-RULE.margins.accuracy,) * 10)
    assert measure(case, RULE, trials=100, seed=1).promoted_smaller <= 0.07


def test_an_equal_candidate_hardly_ever_wins_in_accuracy():
    assert measure(Case("equal", 10_000, 0.06, (0.0,) * 10), RULE, trials=100, seed=2).promoted <= 0.07


def test_a_candidate_better_by_a_point_is_promoted_on_ten_thousand_images():
    assert measure(Case("better", 10_000, 0.06, (0.01,) * 10), RULE, trials=100, seed=3).promoted >= 0.9


def test_a_class_lost_is_seen_though_all_is_even():
    effects = (-0.1, *(0.1 / 9,) * 9)
    rates = measure(Case("one class", 10_000, 0.06, effects), RULE, trials=100, seed=4)
    assert rates.promoted_smaller <= 0.05
    assert rates.refused_for_a_class >= 0.95


WAY = {way.name: way for way in WAYS}


@pytest.mark.parametrize("way", [name for name in WAY if "(now)" in name] + ["all labels"])
def test_a_candidate_worse_by_a_point_is_not_promoted_however_labels_come(way):
    rates = measure_recent((WAY[way], DISCORDANT[0], -0.01), RULE, trials=60, seed=5)
    assert rates.promoted <= 0.05
    assert rates.promoted_smaller <= 0.05


def test_labels_that_people_give_unasked_would_have_promoted_it():
    """What the others are measured by: the draws show the fault where every label counts."""
    way = WAY["as people give them, all of them count (before)"]
    assert measure_recent((way, DISCORDANT[0], -0.004), RULE, trials=60, seed=6).promoted >= 0.3
