"""compose.yaml, as an engine reads it."""

import re
from typing import Any

import yaml

from tests.projects import SOURCE

TEXT = (SOURCE / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$(?:\{(\w+)([^}]*)\}|(\$))")
"""A variable with what follows its name, or a dollar that stands for itself."""


def variables() -> dict[str, str]:
    """Each variable that the file asks for, with what follows its name."""
    return {name: rest for name, rest, dollar in VARIABLE.findall(TEXT) if not dollar}


def read_compose() -> Any:
    """The file; its variables stand for themselves, in small letters."""
    return yaml.safe_load(VARIABLE.sub(lambda found: found[3] or found[1].lower(), TEXT))
