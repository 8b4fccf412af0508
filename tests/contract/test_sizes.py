"""What is small is read: how long a module may be, and how many parameters a function may have."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [*ROOT.glob("src/fashion/**/*.py"), *ROOT.glob("flows/**/*.py"), *ROOT.glob("benchmarks/*.py")]
MOST_LINES, MOST_PARAMETERS = 250, 5
WITH_REASON: dict[str, str] = {}
"""Functions with more parameters, and why."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_can_be_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_a_function_has_few_parameters_or_a_reason():
    found = {name for path in MODULES if "cli" not in path.parts for name in functions_with_many(path)}
    assert found == WITH_REASON.keys()


def functions_with_many(path):
    """Every option of a command is a parameter, so `cli` is left out; `self` does not count."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
                yield f"{path.relative_to(ROOT).as_posix()}: {node.name}"
