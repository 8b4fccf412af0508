"""Stage `register`: put the candidate into the registry, and make it champion if the judgement says so.

It is not a DVC stage: its result depends on the registry, not on files alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from fashion.adapters import tracking
from fashion.adapters.git import read_source
from fashion.adapters.machine import TENSORFLOW
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.runs import run_name
from fashion.adapters.tracking.tags import (
    ACCURACY,
    ARTIFACTS_DIGEST,
    DATA_VERSION,
    GATES,
    MODEL_DIGEST,
    REASON,
    SYNTHETIC_DATA,
    TEST_SET,
    VERDICT,
)
from fashion.arrays import LabelledImages
from fashion.evaluation.gates import Gate
from fashion.images.photos import Form
from fashion.importing import heavy_imports
from fashion.params import Params
from fashion.paths import CLASSES, HISTORY, LITERT, QUARANTINE, REPORT, SUMMARY, Project
from fashion.registry import promotion
from fashion.registry.absence import explain_absence
from fashion.registry.card import describe_model, model_card
from fashion.registry.gates import read_gate
from fashion.registry.judgement import Judgement
from fashion.registry.judging import judge_candidate, keep_judgement, look_up_judgement
from fashion.registry.origin import Origin, find_data, read_contract, write_origin
from fashion.registry.proposal import PROPOSE, awaits_approval, note_outcome, present_verdict
from fashion.registry.wording import figures_for_tags
from fashion.stages.dataset import load_split, read_history
from fashion.stages.reference import DESCRIPTORS, EXAMPLES, OUTPUTS
from fashion.storage import folder_digest


@dataclass(frozen=True)
class Registration:
    """Which version the artifacts are, and what was decided about it: `verdict` is champion or challenger."""

    name: str
    version: str
    run_id: str
    """Of the MLflow run in which the model was trained."""
    created: bool
    """Whether it was decided about just now, in this call or an earlier one by the same Prefect run."""
    verdict: str
    reason: str
    judgement: Judgement | None
    """With its figures; None if the version's run no longer has them."""
    approval: Literal["none", "awaited", "answered"] = "none"
    """awaited: it would be champion if a person agreed."""
    absence: str | None = None
    """Where the registry has no champion now: why, what that means, and what to do; lines of text."""


def register(project: Project, params: Params, flow_run: str | None = None) -> Registration:
    """Register the artifacts, once, and move the alias `champion` if they earn it and nobody is to be asked.

    Somebody is asked if params.yaml says so, or the champion knows a class that the artifacts do not.

    Every step can be repeated: the version is created after its files, the verdict is written last of all.

    Args:
        flow_run: the name of the Prefect run in which this happens, for the history.

    Raises:
        ArtifactError: an artifact is missing, or the artifacts belong to different models or data.
        PromotionError: the registered version cannot be loaded.
        ServiceError: MLflow is away or refused, or the champion changed while this one was judged.
    """
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    gate = read_gate(project)
    digest = folder_digest(project.model, project.evaluation, project.export)
    known = tracking.find_version(registry, ARTIFACTS_DIGEST, digest)
    version = known or _log(registry, project, params, digest, gate)
    undecided = VERDICT not in version.tags
    if undecided:
        version = _decide(project, params, version, gate, flow_run)
    ledger = tracking.read_ledger(registry)
    version = note_outcome(registry, ledger, version)
    verdict, reason = present_verdict(ledger, version)
    judgement = look_up_judgement(registry, project, version)
    return Registration(
        name=registry.name,
        version=version.number,
        run_id=version.run_id,
        created=undecided or _was_decided_by(flow_run, ledger, version),
        verdict=verdict,
        reason=reason,
        judgement=judgement,
        approval="awaited" if awaits_approval(ledger, version.number) else "none",
        absence=explain_absence(registry) if ledger.aliases.champion is None else None,
    )


def _was_decided_by(flow_run: str | None, ledger: tracking.Ledger, version: tracking.Version) -> bool:
    """Return whether this very Prefect run decided about the version: a service was away then, and it tries again."""
    change = promotion.decision_about(ledger, version)
    return change is not None and flow_run is not None and change.flow_run == flow_run


def _log(registry: tracking.Registry, project: Project, params: Params, digest: str, gate: Gate) -> tracking.Version:
    """Bring the artifacts into MLflow, into the run in which the model was trained if that can still be found."""
    contract = read_contract(project, params)
    with TemporaryDirectory() as folder:
        origin = write_origin(project, read_source(project), find_data(project, params), Path(folder))
        model = {MODEL_DIGEST: origin.model_sha256}
        run_id = tracking.find_run(registry, MODEL_DIGEST, origin.model_sha256)
        if run_id is None:
            history = read_history(project).drop(columns="epochs").to_dict(orient="records")
            run_id = tracking.recreate_run(registry, run_name(origin.recipe, origin.training["seed"]), model, history)
        tags = _tags(project, origin) | model | {ARTIFACTS_DIGEST: digest, GATES: gate.verdict}
        classes, form = contract.classes, Form(contract.image_size, contract.pictures)
        words = (describe_model(classes, form), model_card(origin, classes, form, gate))
        package = _package(project, origin.metrics, {f"origin/{digest}": (Path(folder),)}, words)
        return tracking.log_version(registry, run_id, package, tags)


def _package(
    project: Project, figures: Mapping[str, float], origin: Mapping[str, tuple[Path, ...]], words: tuple[str, str]
) -> tracking.Package:
    # TensorFlow takes seconds to import, and artifacts that were registered before do not need it.
    with heavy_imports():
        from fashion.stages.classifier import load_classifier  # noqa: PLC0415

    return tracking.Package(
        model=load_classifier(project.model_file),
        example=load_split(project, "train").images[:1],
        beside_model=(
            *(project.export / name for name in (LITERT, CLASSES)),
            *(project.evaluation / name for name in (OUTPUTS, DESCRIPTORS, EXAMPLES)),
        ),
        artifacts={
            "evaluation": (project.evaluation,),
            "export": (project.export,),
            **origin,
            "training": (project.model / HISTORY,),
            "validation": tuple(project.validation / name for name in (REPORT, SUMMARY, QUARANTINE)),
        },
        metrics={f"test/{name}": value for name, value in figures.items()},
        requirements=tuple(f"{name}=={installed(name)}" for name in ("keras", "numpy", TENSORFLOW)),
        description=words[0],
        card=words[1],
    )


def _tags(project: Project, origin: Origin) -> dict[str, str]:
    """Say in tags what people and later trainings look for."""
    code, figures, training = origin.code, origin.metrics, origin.training
    return {
        ACCURACY: f"{figures['accuracy']:.4f}",
        "accuracy_interval": f"{figures['accuracy_low']:.4f} to {figures['accuracy_high']:.4f}",
        DATA_VERSION: origin.data.version,
        "git_commit": code.commit or "none",
        "git_dirty": "unknown" if code.dirty is None else str(code.dirty).lower(),
        "recipe": origin.recipe,
        "network": origin.network,
        "seed": str(training["seed"]),
        **({"started_from": str(start["version"])} if (start := training.get("start_from")) else {}),
        SYNTHETIC_DATA: str(origin.data.synthetic).lower(),
        TEST_SET: test_set_digest(load_split(project, "test")),
    }


def test_set_digest(split: LabelledImages) -> str:
    """Return the SHA-256 of images and labels, by which a test set is known."""
    digest = sha256(str(split.images.shape).encode())
    for array in (split.images, split.labels):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _decide(
    project: Project, params: Params, version: tracking.Version, gate: Gate, flow_run: str | None
) -> tracking.Version:
    """Judge the version and move the aliases accordingly, unless that was done and only the tags are missing.

    The figures are kept before anything moves.

    Raises:
        PromotionError: the version cannot be loaded.
        ServiceError: MLflow is away, or the aliases changed since the judgement, which may not hold any more.
    """
    registry = registry_of(project, params)
    ledger = tracking.settle(registry)
    change = promotion.decision_about(ledger, version)
    if change is None:
        judgement = judge_candidate(registry, project, params, version, gate)
        keep_judgement(registry, project, version, judgement)
        promotion.check_loadable(project, registry, version)
        ask_first = params.register_.approval == "required" or bool(judgement.lost_classes)
        decision = promotion.decide(ledger, version, judgement, flow_run, ask_first)
        change = tracking.record(registry, ledger, decision)
    kept = look_up_judgement(registry, project, version)
    verdict = tracking.CHAMPION if change.after.champion == version.number else tracking.CHALLENGER
    reason = kept.reason if kept else change.reason
    if change.action == PROPOSE:
        reason = f"awaits approval: {reason}"
    tags = {**(figures_for_tags(kept) if kept else {}), REASON: reason, VERDICT: verdict}
    return tracking.tag_version(registry, version, tags)
