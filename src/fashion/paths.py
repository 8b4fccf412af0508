"""Where a project keeps its files. The only place that knows file names."""

import re
from dataclasses import dataclass
from pathlib import Path

from fashion.errors import ParamsError, SetupError

MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|\[[^/]*\]|\\")
"""In a path: MLflow takes %20 in an address for an escape, TensorFlow [x] and \\ in a file's name for a pattern."""


@dataclass(frozen=True)
class Project:
    """The folder that holds params.yaml and dvc.yaml, and every path under it."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def batches(self) -> Path:
        """Labelled images that came in while the model was in use, a folder a batch."""
        return self.data / "batches"

    @property
    def expectations(self) -> Path:
        return self.root / "expectations"

    @property
    def state(self) -> Path:
        """Databases and service state; not a function of files, so not owned by DVC."""
        return self.root / ".state"

    @property
    def judgement(self) -> Path:
        """The last judgement that `register` came to or looked up."""
        return self.state / "judgement"

    @property
    def training(self) -> Path:
        """Trainings that were stopped, as they were after their last epoch."""
        return self.state / "training"

    @property
    def validation(self) -> Path:
        return self.root / "artifacts" / "validation"

    @property
    def dataset(self) -> Path:
        return self.root / "artifacts" / "dataset"

    @property
    def model(self) -> Path:
        return self.root / "artifacts" / "model"

    @property
    def evaluation(self) -> Path:
        return self.root / "artifacts" / "evaluation"

    @property
    def export(self) -> Path:
        return self.root / "artifacts" / "export"

    @property
    def monitoring(self) -> Path:
        """A folder a window of predictions; no function of files, so not owned by DVC."""
        return self.root / "artifacts" / "monitoring"

    @property
    def model_file(self) -> Path:
        return self.model / "model.keras"


def find_project(start: Path) -> Project:
    """The nearest folder at or above `start` with a params.yaml and a dvc.yaml.

    Raises:
        ParamsError: there is none, or its path cannot be used.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            _check_path(folder)
            return Project(folder)
    raise ParamsError(
        f"No project at or above {start.resolve()}: expected a folder with params.yaml and dvc.yaml. "
        "Change into the project, or set FASHION_HOME to it."
    )


def _check_path(folder: Path) -> None:
    """Refused at once: the registry and the export would fail when the training is done."""
    if found := MISREAD.search(str(folder)):
        raise SetupError(
            f"The project's folder {folder} cannot be used: MLflow or TensorFlow would take {found[0]} in its path for "
            "an escape or a pattern. Move it to a folder without such signs, then type there: make setup"
        )
