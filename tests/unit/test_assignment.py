"""Which split an image belongs to."""

import numpy as np
import pytest

from fashion.images.assignment import LEFT_OUT, Fractions, assign_splits, group_copies, join_given
from fashion.images.synthetic import draw
from tests.traffic import frames

FRACTIONS = Fractions(test=0.2, validation=0.1)
IMAGES, _ = draw(60, 10, (28, 28), seed=3)


def assign(labels, groups=None, given=None, fractions=FRACTIONS, seed=0):
    groups = np.arange(len(labels)) if groups is None else groups
    return assign_splits(np.asarray(labels), np.asarray(groups), given or [None] * len(labels), fractions, seed)


def shares(labels, split, name):
    return [np.mean([split[at] == name for at in np.flatnonzero(labels == label)]) for label in np.unique(labels)]


@pytest.mark.parametrize("given", [None, "train"])
def test_missing_splits_are_held_out_by_class_in_whole_groups(given):
    groups = np.random.default_rng(0).integers(0, 600, 3000)
    labels = groups % 5
    found = assign(labels, groups, [given] * 3000)
    np.testing.assert_allclose(shares(labels, found.split, "test"), 0.2, atol=0.01)
    np.testing.assert_allclose(shares(labels, found.split, "validation"), 0.08, atol=0.01)
    assert all(len({found.split[at] for at in np.flatnonzero(groups == group)}) == 1 for group in set(groups))
    assert found.largest_group == np.bincount(groups).max()
    assert not found.too_rare
    assert not len(found.leaked)
    assert assign(labels, groups).split == found.split != assign(labels, groups, seed=1).split


def test_given_splits_stay_and_what_leaks_into_a_later_one_is_left_out():
    labels, groups = np.array([0, 1] * 40), np.arange(80)
    given = ["train"] * 40 + ["validation"] * 20 + ["test"] * 20
    groups[[0, 1, 40]], groups[[41, 60]], groups[[2, 61]] = 900, 901, 902
    found = assign(labels, groups, given)
    assert found.leaked.tolist() == [0, 1, 2, 41]
    assert found.split == tuple(LEFT_OUT if at in (0, 1, 2, 41) else name for at, name in enumerate(given))


def test_a_missing_validation_split_is_held_out_of_training_and_never_of_the_test_split():
    labels = np.repeat([0, 1], 100)
    given = (["train"] * 80 + ["test"] * 20) * 2
    groups = np.arange(200)
    groups[0] = groups[99]
    found = assign(labels, groups, given)
    assert [name for name, was in zip(found.split, given, strict=True) if was == "test"] == ["test"] * 40
    assert found.split[0] == LEFT_OUT
    assert found.split.count("validation") == 16


def test_images_without_a_split_follow_their_group_and_others_are_divided_by_what_their_class_lacks():
    labels = np.array([0] * 100 + [0] * 50 + [1] * 50)
    given = ["train"] * 80 + ["test"] * 20 + [None] * 100
    groups = np.arange(200)
    groups[100], groups[101] = groups[99], groups[0]
    found = assign(labels, groups, given, Fractions(0.2, 0))
    assert found.split[:102] == (*given[:100], "test", "train")
    assert found.split[102:150].count("test") == 9
    assert found.split[150:].count("test") == 10
    assert not len(found.leaked)


def test_a_class_with_too_few_groups_is_named_and_is_trained_on_first():
    labels, groups = np.array([0] * 50 + [1] * 6 + [2] * 6 + [3] * 6), np.arange(68)
    groups[50:56] = 50
    groups[56:62] = [56, 56, 56, 57, 57, 57]
    found = assign(labels, groups)
    assert found.too_rare == (1, 2)
    assert set(found.split[50:56]) == {"train"}
    assert set(found.split[56:62]) == {"train", "test"}
    assert set(found.split[62:]) == {"train", "validation", "test"}


@pytest.mark.parametrize("fractions", [FRACTIONS, Fractions(0, 0.1)])
def test_a_class_that_is_only_in_groups_with_another_class_is_in_every_split(fractions):
    """As patients with healthy tissue, of whom some have a tumour, too."""
    labels = np.concatenate([[0, 0, 0, 1] if patient % 6 == 0 else [0, 0, 0] for patient in range(60)])
    groups = np.repeat(np.arange(60), [4 if patient % 6 == 0 else 3 for patient in range(60)])
    for seed in range(50):
        assert not assign(labels, groups, fractions=fractions, seed=seed).too_rare


def test_groups_of_several_classes_count_for_the_first_while_no_class_lacks_a_split():
    labels, groups = np.repeat([0, 1], [200, 100]), np.arange(300)
    groups[200:240] = groups[:40]
    found = assign(labels, groups)
    labels[200:240] = 0
    assert found.split == assign(labels, groups).split


def test_a_class_that_leaves_a_split_with_what_leaks_is_named():
    found = assign([0, 0, 1, 1], [0, 1, 2, 2], ["train", "test", "train", "test"], Fractions(0, 0))
    assert found.too_rare == (1,)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_a_class_of_two_groups_has_one_on_each_side(fraction):
    labels, groups = np.array([0] * 100 + [1] * 4), np.array([0] * 99 + [1] + [2, 2, 3, 3])
    found = assign(labels, groups, ["train"] * 104, Fractions(0, fraction))
    assert not found.too_rare
    assert all(
        {found.split[at] for at in np.flatnonzero(labels == label)} == {"train", "validation"} for label in (0, 1)
    )


def test_a_large_group_does_not_become_the_whole_test_split():
    labels, groups = np.zeros(100, np.int64), np.r_[np.zeros(60, np.int64), np.arange(1, 41)]
    for seed in range(10):
        assert assign(labels, groups, seed=seed).split.count("test") == 20


def test_no_images_are_no_trouble():
    found = assign(np.empty(0, np.int64))
    assert (found.split, found.too_rare, found.largest_group) == ((), (), 0)
    assert group_copies(np.empty((0, 28, 28, 3), np.uint8)).shape == (0,)
    assert join_given(np.empty(0, np.int64), []).shape == (0,)


def test_near_copies_and_given_groups_are_joined_in_chains():
    images = np.concatenate([IMAGES[:5], frames(IMAGES[1], 2, seed=1), IMAGES[10:12]])
    given = [None, None, None, "a", "b", None, "a", "b", None]
    copies = group_copies(images)
    assert copies.tolist() == [0, 1, 2, 3, 4, 1, 1, 5, 6]
    assert join_given(copies, given).tolist() == [0, 1, 2, 1, 3, 1, 1, 3, 4]


def test_equal_images_are_one_group_even_if_they_have_one_shade():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[2] = 9
    assert group_copies(images).tolist() == [0, 0, 1, 0]
    assert join_given(group_copies(images), ["a", None, "a", None]).tolist() == [0, 0, 0, 0]
