"""Stage `train`: the network and recipe named in params.yaml, watched live in MLflow."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pandas as pd

from fashion.adapters.machine import describe_machine
from fashion.adapters.tracking.runs import LiveRun, live_run
from fashion.model.steps import count_steps
from fashion.model.training import Epoch, Examples, Trained, Watch
from fashion.model.training import train as train_network
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.dataset import load_split
from fashion.stages.registry import MODEL_DIGEST, registry_of, run_name
from fashion.storage import atomic_file, atomic_folder, file_digest, write_json, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """How a training went; `seconds` is wall time, data loading and saving apart."""

    model: str
    seed: int
    parameters: int
    epochs: int
    seconds: float
    validation_accuracy: float
    temperature: float


def train(project: Project, params: Params, on_step: Callable[[int, int], None]) -> Training:
    """Train on artifacts/dataset and write artifacts/model/.

    Args:
        on_step: called with the steps done and the steps there are in all.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        ServiceError: MLflow is away. This is found before training starts; later it only costs the live curves.
        TrainingError: the loss was not finite.
    """
    parameters = {"model": params.train.model, "seed": params.train.seed} | params.train.recipe.model_dump()
    with live_run(registry_of(project, params), run_name(params), parameters, {}) as run:
        start = time.perf_counter()
        trained = _train(project, params, Watch(_reporter(run), on_step))
        summary = _summary(trained, params, time.perf_counter() - start)
        _save(project, trained, summary)
        run.set_tags({MODEL_DIGEST: file_digest(project.model_file)})
    return summary


def _train(project: Project, params: Params, watch: Watch) -> Trained:
    splits = (load_split(project, name) for name in ("train", "validation"))
    training, validation = (Examples(split.images, split.labels) for split in splits)
    classes = len(params.data.classes)
    steps = count_steps(params.train.recipe, len(training.labels), classes)
    logger.info("%s", steps)
    if steps.doubt:
        logger.warning("%s", steps.doubt)
    return train_network(
        params.train.model, params.train.recipe, training, validation, classes, params.train.seed, watch
    )


def _reporter(run: LiveRun) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        logger.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, validation loss %.4f, validation accuracy %.4f, %.1f s",
            *(epoch.epoch, epoch.epochs, epoch.loss, epoch.accuracy),
            *(epoch.validation_loss, epoch.validation_accuracy, epoch.seconds),
        )
        figures = asdict(epoch)
        run.log_metrics({name: figures[name] for name in figures if name not in ("epoch", "epochs")}, epoch.epoch)

    return on_epoch


def _summary(trained: Trained, params: Params, seconds: float) -> Training:
    return Training(
        model=params.train.model,
        seed=params.train.seed,
        parameters=trained.model.count_params(),
        epochs=len(trained.history),
        seconds=seconds,
        validation_accuracy=trained.validation_accuracy,
        temperature=trained.temperature,
    )


def _save(project: Project, trained: Trained, summary: Training) -> None:
    with atomic_folder(project.model) as folder:
        with atomic_file(folder / "model.keras") as path:
            trained.model.save(path)
        write_text(folder / "history.csv", pd.DataFrame(map(asdict, trained.history)).to_csv(index=False))
        write_json(folder / "training.json", asdict(summary))
        write_json(folder / "machine.json", asdict(describe_machine()))
