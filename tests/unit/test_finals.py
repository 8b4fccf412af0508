"""What is said of a recipe that a search found, once it was compared with the one in use."""

import pytest

from fashion.evaluation.paired import Difference
from fashion.experiments.finals import Finalist
from fashion.params import Recipe

RECIPE = Recipe(network="baseline", epochs=1, batch_size=32, optimizer="adam", learning_rate=0.001)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.001, 0.01), "better"),
        ((-0.01, 0.001), "not shown to be better"),
        ((-0.01, -0.001), "worse"),
        (None, "a training failed"),
    ],
)
def test_the_verdict_is_what_the_interval_shows(interval, verdict):
    difference = Difference(0.93, 0.93, *interval) if interval else None
    assert Finalist(None, RECIPE, difference).verdict == verdict
