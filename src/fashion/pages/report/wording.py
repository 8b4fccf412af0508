"""Figures in words."""

from fashion.evaluation.estimates import Estimate


def count_of(number: int, what: str) -> str:
    """Return a number and what it counts, in the plural where it is not 1."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def show_share(share: Estimate) -> str:
    """Return a share with its interval."""
    return f"{share.value:.1%}, interval {share.low:.1%} to {share.high:.1%}"
