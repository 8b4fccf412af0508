"""The suites that an import writes, beside what a person has edited in them."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashion.errors import DataError
from fashion.intake.derived import merge
from fashion.intake.record import Suites
from fashion.paths import Project
from fashion.storage import write_text


def write_suites(project: Project, before: Suites, after: Suites, stage: Path) -> None:
    """Write all suites into the stage; other files of expectations/ go with them."""
    shutil.copytree(project.expectations, stage / "expectations")
    for name, expectations in after.items():
        content: dict[str, Any] = {"name": name, "expectations": expectations}
        if name in before:
            content = read_suite(project, name)
            merged = merge(by_key(before[name]), by_key(content["expectations"]), by_key(expectations))
            content["expectations"] = list(merged.values())
        write_text(stage / "expectations" / f"{name}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_suite(project: Project, name: str) -> dict[str, Any]:
    path = project.expectations / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"name": name, "expectations": []}
    except ValueError as error:
        raise DataError(
            f"{path} is not valid JSON ({error}); restore it with: git checkout -- expectations/{path.name}"
        ) from error
    return content


def by_key(expectations: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return expectations by what they are about; the second of a kind has a number."""
    found: dict[str, dict[str, Any]] = {}
    seen = Counter[str]()
    for one in expectations:
        name = f"{one['type']} {one['kwargs'].get('column', '')}".strip()
        seen[name] += 1
        found[f"{name} #{seen[name]}" if seen[name] > 1 else name] = one
    return found
