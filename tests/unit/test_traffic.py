"""What is sent, before and after the world changes."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.arrays import LabelledImages
from fashion.cli import app
from fashion.images.synthetic import draw
from fashion.images.traffic import DRIFTS, Change, draw_traffic

KNOWN = LabelledImages(*draw(500, 10, (28, 28), seed=3))


@pytest.mark.parametrize("drift", DRIFTS)
def test_nothing_changes_before_the_drift_sets_in(drift):
    traffic = draw_traffic(KNOWN, 400, Change(drift, 5, 250))
    known = {image.tobytes() for image in KNOWN.images}
    assert traffic.drifted.tolist() == [False] * 250 + [True] * 150
    assert all(image.tobytes() in known for image in traffic.images[:250])
    np.testing.assert_array_equal(traffic.given[:250], traffic.labels[:250])


@pytest.mark.parametrize("drift", DRIFTS)
def test_something_changes_after_it(drift):
    clean, changed = (draw_traffic(KNOWN, 400, one, seed=7) for one in (None, Change(drift, 5, 200)))
    same = [
        (clean.images[200:] == changed.images[200:]).all(),
        (clean.given[200:] == changed.given[200:]).all(),
    ]
    assert not all(same)


def test_without_a_drift_every_image_comes_once_before_any_comes_again():
    traffic = draw_traffic(KNOWN, 750)
    assert len({image.tobytes() for image in traffic.images[:500]}) == len({image.tobytes() for image in KNOWN.images})
    assert not traffic.drifted.any()


def test_with_label_noise_people_err_and_the_images_stay():
    traffic = draw_traffic(KNOWN, 400, Change("label noise", severity=5))
    assert 0.3 < (traffic.given != traffic.labels).mean() < 0.5


def test_a_vanishing_class_vanishes():
    traffic = draw_traffic(KNOWN, 400, Change("vanishing class", severity=5))
    assert (np.bincount(traffic.labels, minlength=10) == 0).sum() == 1


def test_the_same_seed_sends_the_same_and_another_one_something_else():
    first, again, other = (draw_traffic(KNOWN, 50, Change("noise"), seed).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_command_lists_the_kinds_of_drift_without_a_project_or_a_service(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["simulate", "--drift", "list"])
    assert (result.exit_code, result.stdout.splitlines()) == (0, list(DRIFTS))
