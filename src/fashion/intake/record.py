"""import.json, beside params.yaml: what `fashion import` has derived; what differs later was edited by a person."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    params: Mapping[str, Any]
    suites: Suites
    learned: tuple[str, ...]
    """Digests of the files that a champion may have learned and that are in no split, in hexadecimal."""

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
        learned = tuple(bytes.fromhex(digest).hex() for digest in content.get("learned", ()))
        names = str(content["name"]), str(content["source"])
        return Record(*names, dict(content["params"]), dict(content["suites"]), learned)
