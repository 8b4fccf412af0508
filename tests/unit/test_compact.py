"""The network `compact` for images of any size: its parameters, and what is left for the hidden layer."""

import numpy as np
import pytest

from fashion.model.architectures import MOST_CELLS, plan_pooling
from tests.networks import untrained

SHIPPED = (28, 28, 1)
SIZES = [(8, 8), (47, 64), (95, 80), (8, 128), (127, 127), (128, 128)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_parameters_do_not_grow_with_the_area_of_the_images(size):
    shipped = untrained("compact", SHIPPED, 10).count_params()
    assert untrained("compact", (*size, 3), 10).count_params() < 2 * shipped


def test_a_large_image_goes_through_in_few_parameters_and_every_part_of_it_counts():
    model = untrained("compact", (256, 200, 3), 4)
    assert model.count_params() < 2 * untrained("compact", SHIPPED, 4).count_params()
    images = np.zeros((4, 256, 200, 3), np.uint8)
    for number, (rows, columns) in enumerate(((slice(1), slice(1)), (slice(-1, None), slice(1)), (100, 100)), start=1):
        images[number, rows, columns] = 255
    black, *answers = model.predict(images, verbose=0)["embedding"]
    assert all(np.abs(black - one).max() > 0 for one in answers)


def test_what_the_plan_says_is_left_is_what_the_layers_leave():
    """For each side alone, since the two sides share the padding of a pooling and nothing else."""
    for side in range(8, 1025):
        (stride, _), pools = plan_pooling((side, side))
        left = -(-side // stride)
        for pool, _ in pools:
            assert pool == 2
            left = -(-left // 2) if left == MOST_CELLS + 1 else left // 2
        assert 3 <= left <= MOST_CELLS, side


def test_the_plan_of_the_shipped_images_is_the_one_that_they_always_had():
    assert plan_pooling((28, 28)) == ((1, 1), [(2, 2)] * 3)


def test_a_narrow_image_is_pooled_along_its_longer_side():
    assert plan_pooling((8, 48)) == ((1, 1), [(2, 2), (1, 2), (1, 2), (1, 2)])


def test_a_large_image_is_halved_by_a_stride_before_it_is_pooled():
    assert [plan_pooling((side, side))[0][0] for side in (95, 96, 383, 384, 1535, 1536)] == [1, 2, 2, 4, 4, 8]
