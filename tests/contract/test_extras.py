"""Every module that is imported comes with a dependency or an extra, and the extras' modules are those in the code."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fashion.importing import EXTRAS
from tests.contract.test_layers import imports

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALLED = packages_distributions()
BROUGHT = {"h5py": "keras", "pydantic_core": "pydantic", "starlette": "fastapi"}
"""Modules of packages that a named one always brings, and which one that is."""


def named(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements} - {"fashion"}


def packages(module):
    """The packages that bring a module, and the one by which they come."""
    found = INSTALLED.get(module, [])
    return {canonicalize_name(name) for name in found} | {BROUGHT.get(module, "")}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_the_modules_that_are_said_to_need_it(extra):
    needed = named(PROJECT["optional-dependencies"][extra])
    assert all(packages(module) & needed for module in EXTRAS[extra])
    known = set().union(*map(packages, EXTRAS[extra]))
    # The full MLflow has the client's module and its server's pages beside it.
    assert {name for name in needed if name not in known} <= {"mlflow", "tensorflow"}


def test_everything_that_is_imported_comes_with_a_dependency_or_an_extra():
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    modules = {module for path in sources for module in imports(path)}
    modules -= {"fashion", "flows", *sys.stdlib_module_names}
    extras = {module for modules in EXTRAS.values() for module in modules}
    lacking = {module for module in modules - extras if not packages(module) & named(PROJECT["dependencies"])}
    assert not lacking


def test_testing_has_all_extras_and_running_all_but_those_of_testing():
    extras = PROJECT["optional-dependencies"]
    assert "fashion[flows,s3,setup]" in extras["dev"]
    assert "fashion[serve,train]" in extras["flows"]
    assert "fashion[batch]" in extras["train"]
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlock:")[2].partition("\n\n")[0]
    made = {line.split()[-1]: re.findall(r"--extra (\w+)", line) for line in recipe.splitlines()[1:]}
    assert made == {
        "requirements-dev.lock": ["dev"],
        "requirements.lock": ["flows", "s3", "setup"],
        "requirements-serve.lock": ["serve"],
    }
