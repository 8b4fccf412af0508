"""compose.yaml, as an engine reads it."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.projects import SOURCE

TEXT = (SOURCE / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$(?:\{(\w+)([^}]*)\}|(\$))")
"""A variable with what follows its name, or a dollar that stands for itself."""


def variables() -> dict[str, str]:
    """Each variable that the file asks for, with what follows its name."""
    return {name: rest for name, rest, dollar in VARIABLE.findall(TEXT) if not dollar}


def read_compose(values: Mapping[str, str] | None = None) -> Any:
    """The file with these values of its variables; those without one stand for themselves, in small letters."""
    known = {name: name.lower() for name in variables()} | dict(values or {})
    return yaml.safe_load(VARIABLE.sub(lambda found: found[3] or known[found[1]], TEXT))
