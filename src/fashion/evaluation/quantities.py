"""Figures and their differences as text, each kind in its own unit."""

from fashion.evaluation.paired import Difference

SHARE, ERROR, BYTES, MILLISECONDS = "share", "error", "bytes", "milliseconds"


def explain(difference: Difference, unit: str) -> str:
    """A difference with its interval."""
    interval = show_interval(difference.low, difference.high, unit)
    return f"{show_difference(difference.value, unit)}{f', interval {interval}' if interval else ''}"


def show(value: float, unit: str) -> str:
    texts = {SHARE: f"{value:.2%}", ERROR: f"{value:.4f}", BYTES: f"{value:,.0f} bytes"}
    return texts.get(unit, f"{value:.3f} ms")


def show_difference(value: float, unit: str) -> str:
    suffixes = {SHARE: " points", BYTES: " bytes", MILLISECONDS: " ms"}
    return f"{_signed(value, unit)}{suffixes.get(unit, '')}"


def show_interval(low: float, high: float, unit: str) -> str:
    """Empty for the bytes of a file, which are what they are."""
    return "" if unit == BYTES else f"{_signed(low, unit)} to {_signed(high, unit)}"


def points(share: float) -> str:
    return f"{100 * share:g} points"


def _signed(value: float, unit: str) -> str:
    texts = {SHARE: f"{100 * value:+.2f}", ERROR: f"{value:+.4f}", BYTES: f"{value:+,.0f}"}
    return texts.get(unit, f"{value:+.3f}")
