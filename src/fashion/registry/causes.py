"""What may explain why a version that was made again is a different model."""

from collections.abc import Iterator, Mapping
from typing import Any

from fashion.adapters.machine import Machine
from fashion.adapters.versioning import LockedStage
from fashion.registry.origin import Origin

BEFORE_THE_MODEL = ("validate", "prepare", "train")
"""The stages that decide what the weights become."""
MACHINE = {
    "system": "system",
    "processor": "processor",
    "cpus": "CPUs, among which TensorFlow divides its sums",
    "python": "Python",
}


def likely_causes(version: Origin, remade: Origin) -> tuple[str, ...]:
    """Return what differs between two origins and may change weights."""
    return (
        *_inputs(version.pipeline, remade.pipeline),
        *(f"changed when it was registered, and not kept: {path}" for path in version.code.left_out),
        *_machine(version.machine, remade.machine),
        *_packages(version.machine.packages, remade.machine.packages),
        *_lock(version, remade),
    )


def _inputs(version: Mapping[str, LockedStage], remade: Mapping[str, LockedStage]) -> Iterator[str]:
    """Compare the inputs of the stages in the version's dvc.lock with those in its commit and its changes."""
    told: set[str] = set()
    for stage in BEFORE_THE_MODEL:
        for then, now in zip(*(_inputs_of(pipeline.get(stage)) for pipeline in (version, remade)), strict=True):
            for name in sorted(then.keys() | now.keys()):
                if then.get(name) != now.get(name) and name not in told:
                    told.add(name)
                    yield (
                        f"{name}, an input of {stage}: {_brief(then.get(name))} when it was trained, "
                        f"{_brief(now.get(name))} when it was registered"
                    )


def _inputs_of(stage: LockedStage | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return (stage.dependencies, stage.parameters) if stage else ({}, {})


def _machine(version: Machine, remade: Machine) -> Iterator[str]:
    for name, meaning in MACHINE.items():
        then_it, now_it = getattr(version, name), getattr(remade, name)
        if then_it != now_it:
            yield f"{meaning}: {then_it}, here {now_it}"
    then, now = set(version.instructions), set(remade.instructions)
    if missing := sorted(then - now):
        yield f"CPU instructions that are not here: {', '.join(missing)}"
    if added := sorted(now - then):
        yield f"CPU instructions that are only here: {', '.join(added)}"
    for name in sorted(version.variables.keys() | remade.variables.keys()):
        then_set, now_set = (one.variables.get(name, "not set") for one in (version, remade))
        if then_set != now_set:
            yield f"variable {name}: {then_set}, here {now_set}"


def _packages(version: Mapping[str, str], remade: Mapping[str, str]) -> Iterator[str]:
    for name, number in version.items():
        here = remade.get(name)
        if here != number:
            yield f"{name} {number}, here {here or 'none'}"


def _lock(version: Origin, remade: Origin) -> Iterator[str]:
    if version.requirements_sha256 != remade.requirements_sha256:
        then, now = (str(one.requirements_sha256)[:12] for one in (version, remade))
        yield f"requirements.lock: SHA-256 {then}, here {now}; a clone of that commit, once set up, has those packages"


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
