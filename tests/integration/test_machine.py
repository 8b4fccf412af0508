"""What the processor can do, as its flags and the variables of oneDNN say."""

import logging

import pytest

from fashion.adapters import machine
from fashion.adapters.machine import as_computed_here, has_bfloat16
from fashion.params import Recipe

HALF = Recipe(network="compact", epochs=1, batch_size=32, optimizer="adam", learning_rate=0.001, precision="bfloat16")


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    for name in (*machine.LIMITS, "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)


def have(monkeypatch, *flags):
    monkeypatch.setattr(machine, "describe_processor", lambda: ("a processor", list(flags)))


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
def test_a_processor_with_bfloat16_uses_it(monkeypatch, flag):
    have(monkeypatch, "avx2", flag)
    assert has_bfloat16()
    assert as_computed_here(HALF) is HALF


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", False),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI", False),
        ("DNNL_MAX_CPU_ISA", "avx512_core", False),
        ("TF_ENABLE_ONEDNN_OPTS", "0", False),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", True),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core_amx", True),
        ("ONEDNN_MAX_CPU_ISA", "default", True),
    ],
)
def test_a_limit_of_onednn_counts(monkeypatch, name, value, expected):
    have(monkeypatch, "avx512_bf16")
    monkeypatch.setenv(name, value)
    assert has_bfloat16() is expected


def test_without_it_a_recipe_is_trained_in_float32_and_that_is_said(monkeypatch, caplog):
    have(monkeypatch, "avx2", "avx512f")
    with caplog.at_level(logging.INFO):
        assert as_computed_here(HALF) == HALF.model_copy(update={"precision": "float32"})
    assert "no bfloat16: training in float32" in caplog.text
    caplog.clear()
    usual = HALF.model_copy(update={"precision": "float32"})
    assert as_computed_here(usual) is usual
    assert not caplog.text
