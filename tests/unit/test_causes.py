"""What may explain that a version made again is another model."""

from dataclasses import replace

import pytest

from fashion.adapters.machine import Machine
from fashion.adapters.versioning import LockedStage
from fashion.registry.causes import likely_causes
from fashion.registry.origin import Code, Data, Origin, Split, Validation

MACHINE = Machine(
    system="Linux x86_64 glibc 2.36",
    processor="A processor",
    instructions=("avx2", "avx512f", "fma"),
    cpus=2,
    python="3.11.7",
    packages={"numpy": "2.1.0", "keras": "3.15.1"},
    variables={},
)


def origin(machine=None, train=None, left_out=(), requirements="a" * 64):
    return Origin(
        code=Code("8909c84be9", "", True, ("film.avi",), tuple(left_out)),
        requirements_sha256=requirements,
        data=Data("0a19.dir", True, {}),
        validation=Validation(520, 0, "8e86"),
        split=Split({"train": 280}, 0.3, 0),
        training={},
        machine=replace(MACHINE, **machine or {}),
        model_sha256="64c9",
        metrics={},
        gates=(),
        pipeline={"train": train or LockedStage({"src/train.py": "1"}, {"train.seed": 1}, {})},
    )


def test_where_everything_is_the_same_there_is_no_cause():
    assert likely_causes(origin(), origin()) == ()


@pytest.mark.parametrize(
    ("version", "remade", "cause"),
    [
        ({}, {"machine": {"processor": "Another"}}, "processor: A processor, here Another"),
        ({}, {"machine": {"instructions": ["avx2", "fma"]}}, "CPU instructions that are not here: avx512f"),
        ({"machine": {"instructions": []}}, {}, "CPU instructions that are only here: avx2, avx512f, fma"),
        ({}, {"machine": {"cpus": 16}}, "CPUs, among which TensorFlow divides its sums: 2, here 16"),
        ({}, {"machine": {"python": "3.12.1"}}, "Python: 3.11.7, here 3.12.1"),
        ({}, {"machine": {"packages": {"numpy": "2.2.0", "keras": "3.15.1"}}}, "numpy 2.1.0, here 2.2.0"),
        (
            {"machine": {"variables": {"TF_ENABLE_ONEDNN_OPTS": "0"}}},
            {},
            "variable TF_ENABLE_ONEDNN_OPTS: 0, here not set",
        ),
        ({}, {"requirements": "b" * 64}, "requirements.lock: SHA-256 aaaaaaaaaaaa, here bbbbbbbbbbbb"),
        ({"left_out": ["film.avi"]}, {}, "changed when it was registered, and not kept: film.avi"),
        (
            {},
            {"train": LockedStage({"src/train.py": "2"}, {"train.seed": 1}, {})},
            "src/train.py, an input of train: 1 when it was trained, 2 when it was registered",
        ),
        (
            {},
            {"train": LockedStage({"src/train.py": "1"}, {"train.seed": 4}, {})},
            "train.seed, an input of train: 1 when it was trained, 4 when it was registered",
        ),
    ],
)
def test_each_cause_is_named_alone(version, remade, cause):
    (found,) = likely_causes(origin(**version), origin(**remade))
    assert found.startswith(cause)
