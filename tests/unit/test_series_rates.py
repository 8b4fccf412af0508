"""What a series of judgements adds up to, by few draws; `python -m benchmarks.series` makes many."""

from pathlib import Path

import numpy as np
import pytest

from fashion.evaluation.error_rates.series import (
    ACCURACY,
    ALONE,
    DISCORDANT,
    IMAGES,
    RECENT,
    WITH_BEST,
    Year,
    answer,
    draw_chances,
    live,
    move,
)
from fashion.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
RULE, LEAST = PARAMS.register_.judgement, PARAMS.evaluate.gates.accuracy_at_least


def test_a_slow_decline_loses_no_more_than_the_margin_and_would_without_the_best_champion():
    alone, with_best = live(Year("lower each week", RECENT, decline=0.001), 1, RULE, LEAST, years=3)
    assert (alone.rule, with_best.rule) == (ALONE, WITH_BEST)
    assert alone.true_loss[0] > 2 * RULE.margins.accuracy_for_recent
    assert with_best.true_loss[2] <= RULE.margins.accuracy_for_recent
    assert with_best.measured_loss[2] <= RULE.margins.accuracy_for_recent


def test_models_are_as_accurate_and_as_often_discordant_as_was_measured():
    rng = np.random.default_rng(0)
    chances = draw_chances(rng)
    one, another = (answer(chances, 0.0, rng) for _ in range(2))
    assert one.mean() == pytest.approx(ACCURACY, abs=0.01)
    assert (one != another).mean() == pytest.approx(DISCORDANT, abs=0.006)
    assert len(one) == IMAGES


@pytest.mark.parametrize("effect", [-0.01, 0.005])
def test_an_effect_is_what_it_is_called(effect):
    chances = draw_chances(np.random.default_rng(0))
    assert move(chances, effect).mean() - chances.mean() == pytest.approx(effect, rel=0.05)
    assert ((move(chances, effect) >= 0) & (move(chances, effect) <= 1)).all()
