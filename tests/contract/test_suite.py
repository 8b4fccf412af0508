"""What the tests themselves keep to, so that they pass on a slow, a busy and another machine."""

import ast
import re
import tomllib
import warnings
from pathlib import Path

import pytest

from tests.conftest import SLOWEST_FIRST

TESTS = Path(__file__).parents[1]
MODULES = sorted(TESTS.rglob("*.py"))
CLOCKS = {"monotonic", "perf_counter", "time"}


@pytest.mark.parametrize("name", SLOWEST_FIRST)
def test_the_files_that_start_first_exist(name):
    assert (TESTS / name).is_file()


def nodes(path, kind):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kind)]


def test_a_port_is_asked_for_where_its_socket_stays_open():
    """Elsewhere `reserved_port` gives one that is free when it is bound, and not only when it was looked for."""
    asking = {
        path.relative_to(TESTS).as_posix()
        for path in MODULES
        if any(node.attr == "getsockname" for node in nodes(path, ast.Attribute))
    }
    integration = {f"integration/test_{name}.py" for name in ("client", "pause", "serving", "status")}
    assert asking == {"servers.py", "services.py", *integration}


def reads_a_clock(node):
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
    )


def test_no_assertion_measures_time_by_the_clock():
    measuring = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in MODULES
        for node in nodes(path, ast.Assert)
        if any(isinstance(part, ast.BinOp) and reads_a_clock(part.left) for part in ast.walk(node))
    ]
    assert measuring == []


def fixtures(path):
    """The names of the fixtures that a module defines."""
    return {
        function.name
        for function in nodes(path, ast.FunctionDef)
        if any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)
    }


def test_no_fixture_of_a_folder_hides_one_of_the_whole_suite():
    """A test far away would get a thing of another kind under the name that it knows."""
    common = fixtures(TESTS / "conftest.py")
    hiding = {
        f"{path.relative_to(TESTS)}: {name}"
        for path in TESTS.rglob("conftest.py")
        if path.parent != TESTS
        for name in common & fixtures(path)
    }
    assert common
    assert hiding == set()


def test_every_warning_about_our_code_is_an_error_except_for_reasons_that_stand_beside_it():
    text = (TESTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    filters = tomllib.loads(text)["tool"]["pytest"]["ini_options"]["filterwarnings"]
    lines = text.partition("filterwarnings = [\n")[2].partition("\n]")[0].splitlines()
    groups = "".join("#" if line.startswith("    # ") else "f" for line in lines)
    assert filters[0] == "error"
    assert groups.count("f") == len(filters)
    assert re.fullmatch("f(#{1,2}f)+", groups)


@pytest.mark.parametrize("category", [UserWarning, DeprecationWarning, FutureWarning, RuntimeWarning])
def test_a_warning_is_an_error_where_our_code_causes_it(category):
    for module in ("fashion.cli", "flows.training"):
        with pytest.raises(category):
            warnings.warn_explicit("seen", category, "file", 1, module=module)
    with warnings.catch_warnings(record=True) as seen:  # By the same filters.
        warnings.warn_explicit("seen", category, "file", 1, module="mlflow.pyfunc")
    assert [one.category for one in seen] == [category]
