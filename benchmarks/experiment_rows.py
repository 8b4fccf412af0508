"""What `benchmarks.experiments` has trained so far: a file for each training, of this processor and this code alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results import ROOT, machine
from fashion.params import Params, Recipe
from fashion.storage import file_digest, write_json

ABOUT = "about.json"
CODE = ("model", "images", "evaluation/calibration.py", "params/recipe.py", "stages/raw.py")
"""Below src/fashion: what decides which weights come out."""
LIBRARIES = ("tensorflow-cpu", "keras", "numpy")


def describe_run(params: Params, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return everything that all rows must have in common."""
    here = machine()
    return {
        "processor": {name: here[name] for name in ("processor", "instructions", "variables", "cores", "python")},
        "code": _code_digest(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "data": params.data.model_dump(mode="json"),
        "prepare": params.prepare.model_dump(mode="json"),
        "recipe": params.train.recipes["compact"].model_dump(mode="json"),
        "images": dict(sizes),
    }


def _code_digest() -> str:
    places = [ROOT / "src" / "fashion" / name for name in CODE]
    files = sorted(path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place]))
    return sha256("\n".join(map(file_digest, files)).encode()).hexdigest()


@dataclass(frozen=True)
class Rows:
    """The rows of one kind of run, a file each, in a folder of their own."""

    folder: Path

    @classmethod
    def of(cls, state: Path, about: Mapping[str, Any]) -> "Rows":
        """Return those with all of `about` in common; say which others there are, and why they stay out."""
        folder = state / _digest(about)
        for other in sorted(state.glob(f"*/{ABOUT}")):
            if other.parent != folder:
                known = json.loads(other.read_text(encoding="utf-8"))
                changed = ", ".join(name for name in about if known.get(name) != about[name])
                count = len(list(other.parent.glob("*.json"))) - 1
                print(f"Left out: {count} trainings in {other.parent}, made with another {changed}", flush=True)
        write_json(folder / ABOUT, about)
        return cls(folder)

    def load(self, name: str, recipe: Recipe, seed: int) -> dict[str, Any] | None:
        """Return the row of a training; None if it is not there yet."""
        path = self._path(name, recipe, seed)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def save(self, name: str, recipe: Recipe, seed: int, row: Mapping[str, Any]) -> None:
        write_json(self._path(name, recipe, seed), dict(row))

    def all(self, seed: int, name: str, recipe: Recipe) -> list[dict[str, Any]]:
        """Return the rows of a recipe under any name that begins with this one, the oldest first."""
        found = self.folder.glob(f"{seed}-{_slug(name)}*-{_digest(recipe.model_dump(mode='json'))}.json")
        rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(found)]
        return sorted(rows, key=lambda row: (row["run"], row["name"]))

    def _path(self, name: str, recipe: Recipe, seed: int) -> Path:
        return self.folder / f"{seed}-{_slug(name)}-{_digest(recipe.model_dump(mode='json'))}.json"


def _digest(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
