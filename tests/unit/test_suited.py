"""The recipe that a new dataset starts with."""

import pytest

from fashion.model.steps import ENOUGH_STEPS, count_steps
from fashion.model.suited import FEWEST_EPOCHS, MOST_EPOCHS, TIMES_FOR_COLOUR, suited_recipe

DIGITS, FASHION = (8, 8, 1), (28, 28, 1)
PHOTOS = (64, 64, 3)


@pytest.mark.parametrize("images", [200, 1_000, 2_700, 10_000, 60_000, 280_000])
@pytest.mark.parametrize(("shape", "times"), [(FASHION, 1), (PHOTOS, TIMES_FOR_COLOUR)])
def test_the_steps_are_enough_for_any_number_of_images_and_not_many_more(images, shape, times):
    steps = count_steps(suited_recipe([images // 10] * 10, shape), images, 10)
    assert steps.doubt is None
    assert steps.total < 2 * times * ENOUGH_STEPS or steps.epochs == FEWEST_EPOCHS


def test_a_tenth_held_out_for_validation_leaves_enough_steps():
    for images in range(400, 20_000, 50):
        recipe = suited_recipe([images // 2] * 2, FASHION)
        assert count_steps(recipe, images * 9 // 10, 2).total >= 0.85 * ENOUGH_STEPS, images


def test_a_handful_of_images_is_not_repeated_without_end():
    assert suited_recipe([3, 4], PHOTOS).epochs == MOST_EPOCHS


def test_many_images_are_trained_on_like_those_that_the_project_ships_with():
    recipe = suited_recipe([6_000] * 10, FASHION)
    assert (recipe.epochs, recipe.batch_size, recipe.augmentation.shift) == (7, 256, 1)


def test_the_memory_of_a_step_does_not_grow_with_the_number_of_large_images():
    batches = {
        images: suited_recipe([images // 10] * 10, (160, 160, 3)).batch_size for images in (5_000, 20_000, 500_000)
    }
    assert batches == {5_000: 32, 20_000: 64, 500_000: 64}
    assert suited_recipe([1_000] * 10, (1024, 1024, 3)).batch_size == 32


def test_unequal_classes_are_made_up_for_only_where_their_numbers_are_far_apart():
    assert suited_recipe([1_820, 64, 170], PHOTOS).class_weights == "logit_adjusted"
    assert suited_recipe([170, 64, 100], PHOTOS).class_weights == "none"
    assert suited_recipe([170, 0, 100], PHOTOS).class_weights == "logit_adjusted"


def test_photos_are_looked_at_anywhere_in_the_frame_and_writing_where_it_stands():
    assert suited_recipe([180] * 10, PHOTOS).pooling == "average"
    assert suited_recipe([180] * 10, DIGITS).pooling == "none"


def test_writing_is_not_mirrored_and_photos_are():
    assert not suited_recipe([180] * 10, DIGITS).augmentation.mirror
    assert suited_recipe([180] * 10, PHOTOS).augmentation.mirror


def test_what_fills_the_frame_is_cropped_instead_of_moved_over_a_black_edge():
    assert (suited_recipe([180] * 10, PHOTOS).augmentation.shift, suited_recipe([9], PHOTOS).average_shifts) == (0, 0)
    assert suited_recipe([180] * 10, PHOTOS).augmentation.crop > 0
    assert suited_recipe([180] * 10, (16, 16, 3)).augmentation.crop == 0
