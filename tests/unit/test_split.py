from hashlib import blake2b

import numpy as np
import pytest

from fashion.images.split import class_counts, held_out, hold_out_groups, stratified_split

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [40, 80, 120])).astype(np.uint8)


def test_every_image_is_in_one_of_the_two_parts():
    first, second = stratified_split(LABELS, 0.25, seed=0)
    assert sorted([*first, *second]) == list(range(240))


@pytest.mark.parametrize("seed", range(5))
def test_every_class_has_its_share_in_both_parts(seed):
    first, second = stratified_split(LABELS, 0.25, seed)
    assert class_counts(LABELS[first], 3).tolist() == [30, 60, 90]
    assert class_counts(LABELS[second], 3).tolist() == [10, 20, 30]


def test_the_seed_decides_how_images_are_divided():
    np.testing.assert_array_equal(stratified_split(LABELS, 0.25, 5)[1], stratified_split(LABELS, 0.25, 5)[1])
    assert not np.array_equal(stratified_split(LABELS, 0.25, 5)[1], stratified_split(LABELS, 0.25, 6)[1])


def test_a_class_without_images_is_counted_as_none():
    assert class_counts(np.array([0, 2, 2], np.uint8), 4).tolist() == [1, 0, 2, 0]


def test_about_the_wanted_share_is_held_out():
    images = np.random.default_rng(0).integers(0, 256, (4000, 8, 8), dtype=np.uint8)
    assert abs(held_out(images, 0.3).mean() - 0.3) < 0.03
    assert not held_out(images, 0.0).any()


def test_copies_of_an_image_are_held_out_together_whatever_stands_beside_them():
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    alone = [held_out(image[None], 0.3).item() for image in images]
    np.testing.assert_array_equal(held_out(images, 0.3), alone)
    np.testing.assert_array_equal(held_out(images[::-1], 0.3), alone[::-1])


def test_groups_are_held_out_as_a_whole_and_stay_where_they_were_when_more_come_in():
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    groups = np.random.default_rng(1).integers(0, 100, 300)
    chosen = hold_out_groups(images, groups, 0.3)
    assert 0.1 < chosen.mean() < 0.5
    assert all(len(set(chosen[groups == group])) == 1 for group in set(groups))
    np.testing.assert_array_equal(hold_out_groups(images[:200], groups[:200], 0.3), chosen[:200])
    assert (hold_out_groups(images, groups, 0.3, b"1" * 32) != chosen).any()


def test_with_a_secret_other_images_are_held_out_than_without_it_or_with_another():
    images = np.random.default_rng(0).integers(0, 256, (4000, 8, 8), dtype=np.uint8)
    without, one, other = (held_out(images, 0.3, salt) for salt in (b"", b"1" * 32, b"2" * 32))
    np.testing.assert_array_equal(without, held_out(images, 0.3))
    for first, second in ((without, one), (without, other), (one, other)):
        assert abs(first[second].mean() - 0.3) < 0.05


def test_without_a_secret_images_are_divided_as_in_version_0_1_0():
    images = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    digests = [int.from_bytes(blake2b(image.tobytes(), digest_size=8).digest()) for image in images]
    assert held_out(images, 0.5).tolist() == [digest < 2**63 for digest in digests]


def test_no_images_are_no_trouble():
    assert hold_out_groups(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), 0.3).shape == (0,)
    assert held_out(np.zeros((0, 8, 8), np.uint8), 0.3).shape == (0,)
