import numpy as np
import pytest

from fashion.evaluation.reproduction import Figure, compare_figures, compare_weights, likely_causes


def weights(**changes):
    return {"dense/kernel": np.ones((2, 3), np.float32), "dense/bias": np.zeros(3, np.float32), **changes}


def lineage(machine=None, pipeline=None, left_out=(), requirements="a" * 64):
    """As register writes it, as far as it is looked at."""
    return {
        "machine": {
            "system": "Linux x86_64 glibc 2.36",
            "processor": "A processor",
            "instructions": ["avx2", "avx512f", "fma"],
            "cpus": 2,
            "python": "3.11.7",
            "packages": {"numpy": "2.1.0", "keras": "3.15.1"},
            "variables": {},
        }
        | (machine or {}),
        "pipeline": {"train": {"dependencies": {"src/train.py": "1"}, "parameters": {"train.seed": 1}}}
        | (pipeline or {}),
        "code": {"left_out": list(left_out)},
        "requirements_sha256": requirements,
    }


def test_equal_weights_are_identical():
    found = compare_weights(weights(), weights())
    assert (found.identical, found.parts, found.largest_difference) == (True, 2, 0.0)


def test_one_bit_is_a_difference():
    nudged = np.nextafter(np.ones((2, 3), np.float32), np.float32(2))
    found = compare_weights(weights(), weights(**{"dense/kernel": nudged}))
    assert found.different == ("dense/kernel",)
    assert found.largest_difference == pytest.approx(1.19e-7, rel=0.01)


def test_minus_zero_is_not_zero_but_a_nan_is_itself():
    assert not compare_weights(weights(), weights(**{"dense/bias": np.full(3, -0.0, np.float32)})).identical
    broken = weights(**{"dense/bias": np.full(3, np.nan, np.float32)})
    assert compare_weights(broken, broken).identical


@pytest.mark.parametrize(
    "other",
    [weights(extra=np.ones(1)), {"dense/bias": np.zeros(3, np.float32)}, weights(**{"dense/bias": np.zeros(4)})],
    ids=["one more", "one less", "another shape and type"],
)
def test_other_arrays_are_a_difference_without_a_size(other):
    found = compare_weights(weights(), other)
    assert (found.identical, found.largest_difference) == (False, 0.0)


def test_figures_stand_side_by_side_even_if_one_has_none():
    assert compare_figures({"accuracy": 0.9, "old": 1}, {"accuracy": 0.8, "new": 2}) == (
        Figure("accuracy", 0.9, 0.8),
        Figure("old", 1, None),
        Figure("new", None, 2),
    )


def test_where_everything_is_the_same_there_is_no_cause():
    assert likely_causes(lineage(), lineage()) == ()


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
            {"pipeline": {"train": {"dependencies": {"src/train.py": "2"}, "parameters": {"train.seed": 1}}}},
            "src/train.py, an input of train: 1 when it was trained, 2 when it was registered",
        ),
        (
            {},
            {"pipeline": {"train": {"dependencies": {"src/train.py": "1"}, "parameters": {"train.seed": 4}}}},
            "train.seed, an input of train: 1 when it was trained, 4 when it was registered",
        ),
    ],
)
def test_each_cause_is_named_alone(version, remade, cause):
    (found,) = likely_causes(lineage(**version), lineage(**remade))
    assert found.startswith(cause)
