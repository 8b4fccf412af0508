"""What a page about images is made from: copies, differences, classes, a plane."""

import numpy as np
import pandas as pd
import pytest

from fashion.arrays import LabelledImages
from fashion.images.class_statistics import choose_samples, explained_by_class, measure_classes
from fashion.images.copies import ALIKE, SAME_DETAILS, details, signatures
from fashion.images.copies_found import find_exact, gather_near
from fashion.images.descriptors import content_hashes
from fashion.images.differences import compare_descriptors, compare_shares
from fashion.images.embedding import embed, thin
from fashion.images.montage import GAP, in_cells, in_rows
from fashion.images.near_copies import LONGEST_EDGE, ROWS, prepare_search
from fashion.images.parts import Parts, sample, shrink
from fashion.images.synthetic import draw
from tests.traffic import frames

IMAGES, LABELS = draw(3 * ROWS, 10, (28, 28), seed=3)


def parts_of(images, labels=None, train=None):
    labels = np.zeros(len(images), np.uint8) if labels is None else np.asarray(labels)
    train = len(images) if train is None else train
    test = LabelledImages(images[train:], labels[train:])
    return Parts({"train": LabelledImages(images[:train], labels[:train]), "test": test})


def near_copies(parts):
    search = prepare_search(parts)
    found = [search.find(tile) for tile in search.tiles()]
    return found, len(search.order)


def pairs(found):
    return sorted((int(one), int(other)) for ones, others, _ in found for one, other in zip(ones, others, strict=True))


def test_the_pairs_are_those_of_comparing_every_image_with_every_other():
    images = np.concatenate([IMAGES, frames(IMAGES[5], 20, seed=1), frames(IMAGES[70], 20, seed=2), IMAGES[:3]])
    images = images[np.random.default_rng(0).permutation(len(images))]
    signed, looked_at = signatures(images), details(images)
    alike = (signed @ signed.T >= ALIKE) & (looked_at @ looked_at.T >= SAME_DETAILS)
    expected = np.argwhere(np.triu(alike, 1)).tolist()
    assert len(expected) > 400
    assert pairs(near_copies(parts_of(images))[0]) == [tuple(pair) for pair in expected]


def test_images_of_one_shade_are_like_nothing_and_few_images_are_no_trouble():
    for images in (np.full((3, 28, 28, 1), 7, np.uint8), IMAGES[:1]):
        assert pairs(near_copies(parts_of(images))[0]) == []


def test_large_images_in_colour_are_compared_reduced():
    images, _ = draw(20, 3, (96, 130), seed=4, channels=3)
    images = np.concatenate([images, images[:2] // 2])
    found = pairs(near_copies(parts_of(images))[0])
    assert {(0, 20), (1, 21)} <= set(found)
    assert max(shrink(images, LONGEST_EDGE).shape[1:3]) <= LONGEST_EDGE


def test_shrinking_takes_means_of_blocks_up_to_the_edge():
    images = np.arange(5 * 7, dtype=np.uint8).reshape(1, 5, 7, 1)
    small = shrink(images, 3)
    assert small.shape == (1, 2, 3, 1)
    assert small[0, 0, 0, 0] == round(images[0, :3, :3].mean())
    assert small[0, 1, 2, 0] == round(images[0, 3:, 6:].mean())


def test_equal_images_are_counted_by_group_by_split_and_by_label():
    images = IMAGES[[0, 1, 2, 0, 1, 0, 3, 3]]
    labels = [0, 1, 2, 0, 5, 0, 3, 3]
    parts = parts_of(images, labels, train=4)
    found = find_exact(parts, content_hashes(images))
    assert (found.images, found.groups, found.in_other_part, found.two_labels) == (7, 3, (0, 2), 2)
    assert found.examples[0] == (1, 4)
    assert not find_exact(parts_of(IMAGES[:5]), content_hashes(IMAGES[:5])).images


def test_near_copies_leave_out_equal_images_and_tell_who_leaks():
    images = np.concatenate([IMAGES[:40], IMAGES[:1], frames(IMAGES[7], 2, seed=1)])
    labels = np.r_[LABELS[:41], LABELS[7], (LABELS[7] + 1) % 10]
    labels[40] = LABELS[0]
    parts = parts_of(images, labels, train=40)
    found, compared = near_copies(parts)
    copies = gather_near(parts, found, content_hashes(images), compared)
    assert (copies.compared, copies.images, copies.groups) == (43, 3, 1)
    assert copies.in_other_part == (0, 2)
    assert copies.two_labels == 3
    assert 42 in copies.examples[0]


def test_chance_is_seldom_taken_for_a_difference_and_a_difference_never_for_chance():
    random = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        one, other = (pd.DataFrame(random.normal(size=(count, 3)), columns=list("abc")) for count in (400, 150))
        false += any(row.differs for row in compare_descriptors(one, other, list("abc")))
        counts = random.multinomial(900, [0.2, 0.3, 0.5]), random.multinomial(400, [0.2, 0.3, 0.5])
        false += any(row.differs for row in compare_shares(*counts, list("abc")))
    assert false <= 12  # Of 400 at 1 %; more than 12 in one of a thousand.
    other["b"] += 1
    first = compare_descriptors(one, other, list("abc"))[0]
    assert (first.name, first.differs) == ("b", True)
    assert compare_shares(np.array([500, 500, 0]), np.array([100, 100, 90]), list("abc"))[0].name == "c"


def test_classes_are_measured_over_all_parts_and_one_without_images_is_zero():
    images, labels = IMAGES[:90], LABELS[:90].copy()
    labels[labels == 4] = 3
    labels[0] = 77  # No class.
    found = measure_classes(parts_of(images, labels, train=60), 10)
    mine = images[labels == 3].astype(float)
    np.testing.assert_allclose(found.means[3], mine.mean(axis=0), atol=0.51)
    np.testing.assert_allclose(found.deviations[3], mine.std(axis=0), atol=0.51)
    assert found.counts.sum() == 89
    assert found.counts[3].tolist() == [(labels[:60] == 3).sum(), (labels[60:] == 3).sum()]
    assert found.pixels[3].sum() == mine.size
    assert not found.means[4].any()
    samples = choose_samples(labels, 10, 4)
    assert not len(samples[4])
    assert all((labels[chosen] == number).all() and len(chosen) <= 4 for number, chosen in enumerate(samples))


def test_the_share_of_the_variance_between_classes_is_all_none_or_in_between():
    labels = np.repeat([0, 1], 50)
    random = np.random.default_rng(0).normal(size=100)
    assert explained_by_class(pd.Series(labels * 3.0), labels) == pytest.approx(1)
    assert explained_by_class(pd.Series(np.full(100, 7)), labels) == 0
    assert explained_by_class(pd.Series(random), labels) < 0.1 < explained_by_class(pd.Series(random + labels), labels)


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_any_number_of_images_becomes_points_and_equal_ones_too(count):
    for images in (IMAGES[:count], np.repeat(IMAGES[:1], count, axis=0)):
        found = embed(images, LABELS[:count])
        assert found.points.shape == (count, 2)
        assert np.isfinite(found.points).all()
        assert 0 <= found.agreement <= 1


def test_the_same_images_give_the_same_plane_in_which_classes_lie_together():
    images, labels = draw(150, 2, (28, 28), seed=5)
    first, again = (embed(images, labels) for _ in range(2))
    np.testing.assert_array_equal(first.points, again.points)
    assert first.agreement > 0.9
    chosen, cells = thin(first.points, 6)
    assert len({tuple(cell) for cell in cells}) == len(chosen)
    assert (cells >= 0).all()
    assert (cells < 6).all()


def test_a_sheet_has_every_image_at_its_place():
    sheet = in_rows([IMAGES[:2], IMAGES[:0], IMAGES[2:5]], 3)
    step = 28 + GAP
    assert sheet.shape == (3 * step - GAP, 3 * step - GAP, 1)
    np.testing.assert_array_equal(sheet[2 * step :, 2 * step :], IMAGES[4])
    assert (sheet[step : 2 * step] == 255).all()
    framed = in_cells(IMAGES[:1], [(1, 0)], np.array([[9, 8, 7]], np.uint8), 2)
    side = 28 + 2 * GAP
    assert framed[side, side].tolist() == [9, 8, 7]
    np.testing.assert_array_equal(framed[side + GAP : -GAP, side + GAP : -GAP], IMAGES[0].repeat(3, axis=2))


def test_a_sample_is_in_order_and_the_same_every_time():
    assert sample(3, 5).tolist() == [0, 1, 2]
    chosen = sample(1000, 10)
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() == sample(1000, 10).tolist()
