"""What is wrong with a file of parameters, in words: one line a problem."""

import difflib
import reprlib
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fashion.params.section import Section

MOST_PROBLEMS = 10
"""The most problems reported at once."""


def explain(error: ValidationError) -> list[str]:
    """Return a line for each problem."""
    problems = error.errors()
    lines = [_explain_one(details) for details in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return lines


def _explain_one(details: ErrorDetails) -> str:
    where = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggest(details['loc'])}"
    if details["type"] == "missing":
        return f"{where}: this key is missing"
    prefix = f"{where}: " if where else ""
    return f"{prefix}{details['msg']}{_found(details['input'])}"


def _found(value: Any) -> str:
    return "" if isinstance(value, dict) else f" (found {reprlib.repr(value)})"


def _suggest(location: tuple[int | str, ...]) -> str:
    """Suggest another key of this file that looks like the unknown one."""
    names: set[str] = set()
    for section in Section.__subclasses__():
        names.update(field.alias or name for name, field in section.model_fields.items())
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
