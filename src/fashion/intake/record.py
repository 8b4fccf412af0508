"""import.json, beside params.yaml: what `fashion import` has derived; what differs later was edited by a person."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fashion.errors import DataError
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, translate_damage

RECORD = "import.json"
Suites = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Record:
    """What was derived from a dataset."""

    name: str
    source: str
    """The folder or file, for people."""
    params: Mapping[str, Any] = field(default_factory=dict)
    suites: Suites = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_record(root: Path) -> Record | None:
    """Return what was derived last; None where nothing was imported.

    Raises:
        DataError: the file is damaged.
    """
    path = root / RECORD
    if not path.exists():
        return None
    with translate_damage(path, "restore it with: git checkout -- import.json", DataError):
        content = load_json(path, LARGEST_ARTIFACT_BYTES)
        return Record(str(content["name"]), str(content["source"]), dict(content["params"]), dict(content["suites"]))
