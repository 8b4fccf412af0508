"""What was derived from the data, and what a person has changed since: the one is replaced, the other stays."""

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]


def merge(before: Values, present: Values, after: Values) -> dict[str, Any]:
    """Return the values that are to be there: those derived now, unless a person has changed what was derived before.

    Args:
        before: what was derived last, by name.
        present: what is there. A value that is not what was derived has been edited, one that is missing was removed,
            one that was never derived was added: these stay as they are.
        after: what is derived now.
    """
    merged = dict(present)
    for name, value in after.items():
        is_free = name not in before and name not in present
        if is_free or (name in before and name in present and present[name] == before[name]):
            merged[name] = value
    for name, value in before.items():
        if name not in after and name in present and present[name] == value:
            del merged[name]
    return merged


def edited(before: Values, present: Values) -> list[str]:
    """Return the names of what was derived and is not what it was."""
    return [name for name, value in before.items() if name not in present or present[name] != value]
