"""Stage `train`: the network and recipe named in params.yaml, watched live in MLflow."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from fashion.adapters.machine import as_computed_here, describe_machine
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.runs import LiveRun, live_run, run_name
from fashion.adapters.tracking.tags import MODEL_DIGEST
from fashion.arrays import LabelledImages
from fashion.model.head import Head
from fashion.model.history import Epoch, State, is_over
from fashion.model.steps import Steps, count_steps
from fashion.model.training import Plan, Trained, Watch
from fashion.model.training import train as train_network
from fashion.params import Params
from fashion.paths import HISTORY, KERAS, MACHINE, TRAINING, Project
from fashion.stages.backbone import load_backbone
from fashion.stages.checkpoint import Checkpoint, Checkpoints
from fashion.stages.dataset import load_split
from fashion.stages.start import load_start
from fashion.storage import atomic_file, atomic_folder, file_digest, write_json, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """The summary of a training; `seconds` is wall time without saving, and without epochs that a stop cut short."""

    dataset_sha256: str
    """The digest of artifacts/dataset, from `folder_digest`."""
    recipe: str
    network: str
    seed: int
    parameters: int
    epochs: int
    steps: int
    """Those of the epochs that were run."""
    doubt: str | None
    """Why the recipe has probably too few steps, as was said before the first; None: it has enough."""
    seconds: float
    validation_accuracy: float
    temperature: float
    start_from: Mapping[str, Any] | None = None
    """The version whose weights it started with, the digest of its file, and which layers took them; None: none."""
    backbone: Mapping[str, Any] | None = None
    """Its name, the digest of its weights, and how the head was trained before all was; None: it has none."""


def train(project: Project, params: Params, on_step: Callable[[int, int], None]) -> Training:
    """Train on artifacts/dataset and write artifacts/model/. An interrupted training resumes after its last epoch.

    Args:
        on_step: called with the number of steps done and the total number of steps.

    Raises:
        ArtifactError: the dataset, the model to start from or the backbone is missing or damaged.
        DiskError: the disk is full.
        ServiceError: MLflow is unavailable before training starts; later that only costs the live curves.
        TrainingError: the loss was not finite, or nothing of the model to start from fits.
    """
    training, validation = (load_split(project, name) for name in ("train", "validation"))
    plan = _plan(project, params, training, validation)
    steps = count_steps(plan.recipe, len(training.labels), plan.classes)
    checkpoints = Checkpoints(project, params)
    stopped = checkpoints.load()
    registry, run_id = registry_of(project, params), stopped.run_id if stopped else None
    with live_run(registry, run_name(params.train.recipe, params.train.seed), _parameters(params), {}, run_id) as run:
        start = time.perf_counter()
        watch = Watch(_reporter(run, checkpoints), on_step, stopped.state if stopped else None, _tell_of_head)
        if stopped:
            _go_on(stopped.state, params, run)
        trained = _train(plan, params, steps, watch)
        seconds = time.perf_counter() - start + _seconds(watch.start)
        summary = _summary(trained, params, steps, checkpoints.dataset, seconds)
        _save(project, trained, summary)
        run.set_tags({MODEL_DIGEST: file_digest(project.model_file)})
    checkpoints.remove()
    return summary


def _plan(project: Project, params: Params, training: LabelledImages, validation: LabelledImages) -> Plan:
    recipe = params.train.chosen
    return Plan(
        as_computed_here(recipe),
        training,
        validation,
        classes=len(params.data.classes),
        seed=params.train.seed,
        start=load_start(project, params.train.start_from),
        backbone=load_backbone(project, recipe),
    )


def _parameters(params: Params) -> dict[str, Any]:
    """Return what MLflow shows of the recipe; a key of a section has the section's name in front."""
    recipe = params.train.chosen
    sections = {"augmentation": recipe.augmentation, "backbone": recipe.backbone}
    parameters = {"recipe": params.train.recipe, "seed": params.train.seed}
    parameters |= recipe.model_dump(exclude=set(sections))
    for name, section in sections.items():
        parameters |= {f"{name}.{key}": value for key, value in (section.model_dump() if section else {}).items()}
    return parameters


def _train(plan: Plan, params: Params, steps: Steps, watch: Watch) -> Trained:
    logger.info("%s", steps)
    if steps.doubt:
        logger.warning("%s", steps.doubt)
    if plan.recipe.backbone and not watch.start:
        logger.info("The head is trained first, on features of %s as it is", plan.recipe.backbone.name)
    try:
        trained = train_network(plan, watch)
    except (KeyboardInterrupt, SystemExit):
        logger.info("Stopped. Run the same command again to resume after the last complete epoch.")
        raise
    if trained.fit and (start := params.train.start_from):
        logger.info("Started from %s; %s", start.version, trained.fit)
    return trained


def _reporter(run: LiveRun, checkpoints: Checkpoints) -> Callable[[State], None]:
    def on_epoch(state: State) -> None:
        checkpoints.save(Checkpoint(state, run.run_id))  # First: whoever hears of an epoch may rely on it.
        epoch = state.history[-1]
        logger.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, validation loss %.4f, validation accuracy %.4f, %.1f s",
            *(epoch.epoch, epoch.epochs, epoch.loss, epoch.accuracy),
            *(epoch.validation_loss, epoch.validation_accuracy, epoch.seconds),
        )
        run.log_metrics(_figures(epoch), epoch.epoch)

    return on_epoch


def _tell_of_head(head: Head) -> None:
    logger.info(
        "head: %d epochs on the features of %s images, validation accuracy %.4f, %.1f s; now everything is fine-tuned",
        *(head.epochs, f"{head.images:,}", head.validation_accuracy, head.seconds),
    )


def _go_on(state: State, params: Params, run: LiveRun) -> None:
    """Log where an interrupted training resumes, and report the epochs that MLflow has not received yet."""
    done, epochs = len(state.history), params.train.chosen.epochs
    if is_over(state.history, params.train.chosen):
        logger.info("An earlier run finished all epochs: resuming after epoch %d of %d", done, epochs)
    else:
        logger.info("An earlier run was stopped: resuming from epoch %d of %d", done + 1, epochs)
    run.log_missing("loss", {epoch.epoch: _figures(epoch) for epoch in state.history})


def _figures(epoch: Epoch) -> dict[str, float]:
    figures = asdict(epoch)
    return {name: figures[name] for name in figures if name not in ("epoch", "epochs")}


def _seconds(state: State | None) -> float:
    """Return the time taken before a stop by the epochs, and by the head."""
    if state is None:
        return 0.0
    return sum(epoch.seconds for epoch in state.history) + (state.head.seconds if state.head else 0.0)


def _summary(trained: Trained, params: Params, steps: Steps, dataset: str, seconds: float) -> Training:
    return Training(
        dataset_sha256=dataset,
        recipe=params.train.recipe,
        network=params.train.chosen.network,
        seed=params.train.seed,
        parameters=trained.model.count_params(),
        epochs=len(trained.history),
        steps=len(trained.history) * steps.each_epoch,
        doubt=steps.doubt,
        seconds=seconds,
        validation_accuracy=trained.validation_accuracy,
        temperature=trained.temperature,
        start_from=_describe_start(trained, params),
        backbone=_describe_backbone(trained, params),
    )


def _describe_start(trained: Trained, params: Params) -> dict[str, Any] | None:
    start = params.train.start_from
    if start is None or trained.fit is None:
        return None
    return {"version": start.version, "sha256": start.sha256, **asdict(trained.fit)}


def _describe_backbone(trained: Trained, params: Params) -> dict[str, Any] | None:
    backbone = params.train.chosen.backbone
    if backbone is None or trained.head is None:
        return None
    return {"name": backbone.name, "sha256": backbone.sha256, "head": asdict(trained.head)}


def _save(project: Project, trained: Trained, summary: Training) -> None:
    with atomic_folder(project.model) as folder:
        with atomic_file(folder / KERAS) as path:
            trained.model.save(path)
        write_text(folder / HISTORY, pd.DataFrame(map(asdict, trained.history)).to_csv(index=False))
        write_json(folder / TRAINING, asdict(summary))
        write_json(folder / MACHINE, asdict(describe_machine()))
