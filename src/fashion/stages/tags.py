"""What a version's tags say about it, apart from those that `train` writes, too (see `registry`)."""

from fashion.adapters import tracking

GATES, PASSED, FAILED = "gates", "passed", "failed"
"""The tag that says whether a version met the absolute gates when it was registered."""
SYNTHETIC_DATA = "synthetic_data"
"""The tag that says whether a version learned from drawn images."""


def needs_force(version: tracking.Version) -> bool:
    """Whether the version becomes champion by hand only with `--force`: it is not known that it passed its gates."""
    return version.tags.get(GATES) != PASSED
