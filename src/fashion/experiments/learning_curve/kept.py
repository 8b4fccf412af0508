"""What the trainings of a learning curve found: a file for each, so that none is done twice."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fashion.experiments.trial import Outcome, pack, unpack
from fashion.paths import Project
from fashion.reading import DAMAGE, LARGEST_ARTIFACT_BYTES, load_json
from fashion.storage import write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptTrainings:
    """The outcomes of trainings that have everything in common but their size and their seed."""

    project: Project
    about: Mapping[str, Any]
    """What they have in common: with anything else in it, the files are others."""

    def load(self, size: int, seed: int) -> Outcome | None:
        """Return what the training found; None if it was not done, or its file is damaged."""
        path = self._path(size, seed)
        try:
            kept = load_json(path, LARGEST_ARTIFACT_BYTES)
            return Outcome(unpack(kept["right"], kept["images"]), float(kept["seconds"]))
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            logger.warning("%s is damaged (%s): that training is done again", path, error)
            return None

    def save(self, size: int, seed: int, outcome: Outcome) -> None:
        kept = {
            "about": dict(self.about),
            "size": size,
            "seed": seed,
            "accuracy": outcome.accuracy,
            "seconds": outcome.seconds,
            "images": len(outcome.right),
            "right": pack(outcome.right),
        }
        write_json(self._path(size, seed), kept)

    def _path(self, size: int, seed: int) -> Path:
        digest = sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()
        return self.project.state / "learning_curves" / digest[:16] / f"{size}-{seed}.json"
