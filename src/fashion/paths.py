"""Where a project keeps its files. The only place that knows the name of a file that several modules know."""

import re
from dataclasses import dataclass
from pathlib import Path

from fashion.errors import ParamsError, SetupError

MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|\[[^/]*\]|\\")
"""In a path: MLflow reads %20 in a URL as an escape, TensorFlow reads [x] and \\ in a file name as a pattern."""

PARAMS, DVC_YAML, DVC_LOCK, REQUIREMENTS = "params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock"
"""In the project's folder."""
REPORT, SUMMARY, QUARANTINE = "report.json", "summary.md", "quarantine.csv"
"""Written by `validate`; `export` writes a report, too."""
DATASET = "dataset.json"
"""What `prepare` records about the arrays beside it."""
KERAS, HISTORY, TRAINING, MACHINE = "model.keras", "history.csv", "training.json", "machine.json"
"""Written by `train`: the model, its epochs, a summary, and the machine."""
METRICS, GATE, ROBUSTNESS = "metrics.json", "gate.json", "robustness.json"
"""Written by `evaluate`, beside tables and pictures."""
LITERT, CLASSES = "model.tflite", "classes.json"
"""Written by `export` for serving: the model, and the names of its classes."""
SERVICES_LOCK = "services.lock"
"""Held while the services of `make up` run."""


@dataclass(frozen=True)
class Project:
    """The folder that holds params.yaml and dvc.yaml, and every path under it."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / PARAMS

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def batches(self) -> Path:
        """Labelled images collected while the model was in use, one folder per batch."""
        return self.data / "batches"

    @property
    def start(self) -> Path:
        """The model that a training starts from, if one was chosen."""
        return self.data / "start"

    @property
    def backbones(self) -> Path:
        """The weights of the backbones that recipes name, if any do."""
        return self.data / "backbones"

    @property
    def expectations(self) -> Path:
        return self.root / "expectations"

    @property
    def state(self) -> Path:
        """Databases and service state; not a function of files, so not owned by DVC."""
        return self.root / ".state"

    @property
    def judgement(self) -> Path:
        """The last judgement that `register` made or looked up."""
        return self.state / "judgement"

    @property
    def training(self) -> Path:
        """Checkpoints of interrupted trainings after their last epoch."""
        return self.state / "training"

    @property
    def studies(self) -> Path:
        """The searches of `fashion tune`, a file each."""
        return self.state / "studies"

    @property
    def tuning(self) -> Path:
        """What those searches found: a folder each, made from the studies, so not owned by DVC."""
        return self.root / "artifacts" / "tuning"

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
        """One folder per window of predictions; not a function of files, so not owned by DVC."""
        return self.root / "artifacts" / "monitoring"

    @property
    def reports(self) -> Path:
        """One page per version; made from what the registry keeps, so not owned by DVC."""
        return self.root / "artifacts" / "reports"

    @property
    def comparisons(self) -> Path:
        """Pages with versions side by side; made from what the registry keeps, so not owned by DVC."""
        return self.root / "artifacts" / "comparisons"

    @property
    def exploration(self) -> Path:
        """The page about the data; made from them again when they have changed, so not owned by DVC."""
        return self.root / "artifacts" / "exploration"

    @property
    def exploration_of_window(self) -> Path:
        """The page about what the service got."""
        return self.root / "artifacts" / "exploration_window"

    @property
    def model_file(self) -> Path:
        return self.model / KERAS


def find_project(start: Path) -> Project:
    """Return the nearest folder at or above `start` with a params.yaml and a dvc.yaml.

    Raises:
        ParamsError: there is none, or its path cannot be used.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / PARAMS).is_file() and (folder / DVC_YAML).is_file():
            _check_path(folder)
            return Project(folder)
    raise ParamsError(
        f"No project at or above {start.resolve()}: expected a folder with params.yaml and dvc.yaml. "
        "Change into the project, or set FASHION_HOME to it."
    )


def _check_path(folder: Path) -> None:
    """Refuse a path with which the registry and the export would fail once the training is done."""
    if found := MISREAD.search(str(folder)):
        raise SetupError(
            f"The project's folder {folder} cannot be used: MLflow or TensorFlow would read {found[0]} in its path as "
            "an escape or a pattern. Move it to a folder without such characters, then type there: make setup"
        )
