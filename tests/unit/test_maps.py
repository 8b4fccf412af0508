"""Arrays in files without a name."""

import numpy as np

from fashion.stages.formats import maps


def test_rows_are_copied_in_their_order_and_nothing_is_left_of_the_file(tmp_path, monkeypatch):
    coloured = np.random.default_rng(0).integers(0, 256, (50, 5, 4, 4), np.uint8)
    images = coloured[..., :3]  # As an import has them: the fourth channel is grey.
    monkeypatch.setattr(maps, "BYTES_AT_ONCE", 7 * images[0].nbytes)
    rows = np.random.default_rng(1).permutation(50)[:31]
    for chosen in (rows, rows[:0]):
        copied = maps.map_rows(tmp_path, images, chosen)
        np.testing.assert_array_equal(copied, images[chosen])
        assert list(tmp_path.iterdir()) == []
    assert not copied.flags.writeable or not len(copied)
