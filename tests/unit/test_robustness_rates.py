"""How often corrupted images and slices refuse, by few draws; `python -m benchmarks.robustness` makes many."""

from pathlib import Path

import pytest

from fashion.evaluation.error_rates.robustness import ALIKE, Copied, Sliced, measure_copied, measure_sliced
from fashion.params import load_params

RULE = load_params(Path(__file__).parents[2] / "params.yaml").register_.judgement
MARGIN, OF_A_SLICE = RULE.margins.corrupted_accuracy, RULE.margins.accuracy_of_a_slice


@pytest.mark.parametrize("alike", ALIKE)
def test_a_candidate_worse_by_the_margin_on_corrupted_images_is_hardly_ever_refused_however_copies_depend(alike):
    rates = measure_copied(Copied(1_000, alike, -MARGIN), RULE, trials=200, seed=1)
    assert rates.refused <= 0.06
    assert rates.covered >= 0.9


def test_equal_candidates_are_not_refused_for_corrupted_images():
    assert measure_copied(Copied(10_000, 0.4, 0.0), RULE, trials=60, seed=2).refused == 0


def test_a_loss_of_twice_the_margin_on_corrupted_images_is_seen():
    assert measure_copied(Copied(10_000, 0.4, -2 * MARGIN), RULE, trials=60, seed=3).refused >= 0.9


def test_copies_taken_for_images_would_refuse_many_that_are_worse_by_the_margin():
    """What clusters are for: the draws show the fault without them."""
    assert measure_copied(Copied(1_000, 1.0, -MARGIN), RULE, trials=100, seed=4).refused_by_copies >= 0.15


@pytest.mark.parametrize("images", [20, 1_000])
def test_a_candidate_worse_by_the_margin_on_every_slice_is_hardly_ever_refused(images):
    assert measure_sliced(Sliced(images, 0.06, (-OF_A_SLICE,) * 4), RULE, trials=200, seed=5) <= 0.06


def test_a_slice_lost_is_seen():
    assert measure_sliced(Sliced(1_000, 0.06, (-0.06, 0.0, 0.0, 0.0)), RULE, trials=60, seed=6) >= 0.9
