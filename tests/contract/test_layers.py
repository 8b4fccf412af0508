"""Imports point down, and the core stays what it is; pyproject.toml says the layers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ("images", "model", "evaluation")
KNOWN_TO_THE_CORE = {"fashion", "keras", "numpy", "pandas", "PIL", "scipy", "sklearn"}


def test_imports_point_down_and_adapters_do_not_know_each_other():
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_the_core_knows_arrays_frames_keras_and_pillow_alone():
    imported = {name for room in CORE for path in (ROOT / "src/fashion" / room).rglob("*.py") for name in imports(path)}
    assert imported <= KNOWN_TO_THE_CORE | sys.stdlib_module_names
    assert imported >= KNOWN_TO_THE_CORE  # Or the list is longer than it need be.


@pytest.mark.parametrize(("folder", "other"), [("benchmarks", "tests"), ("tests", "benchmarks")])
def test_benchmarks_and_tests_do_not_import_each_other(folder, other):
    imported = {name for path in (ROOT / folder).rglob("*.py") for name in imports(path)}
    assert "fashion" in imported
    assert other not in imported


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        if isinstance(node, ast.ImportFrom):
            yield str(node.module).split(".")[0]
