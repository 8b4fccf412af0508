"""What a version's tags say about it, apart from those that `train` writes, too (see `registry`)."""

from fashion.adapters import tracking
from fashion.evaluation.gates import PASSED, UNDECIDED

GATES = "gates"
"""The tag that says what the absolute gates came to when a version was registered: passed, undecided or failed."""
SYNTHETIC_DATA = "synthetic_data"
"""The tag that says whether a version learned from drawn images."""
ACCURACY, TEST_SET = "accuracy", "test_set"
"""The tags that say how accurate a version is on the frozen test set, and which one that was, by its digest."""


def needs_force(version: tracking.Version) -> bool:
    """Whether the version becomes champion by hand only with `--force`: its gates failed, or nobody knows."""
    return version.tags.get(GATES) not in (PASSED, UNDECIDED)
