"""What is small is read: how long a module may be, and what git may hold.

Ruff holds the sizes of functions, but for those that say why.
"""

import re
from pathlib import Path

import pytest

from tests.projects import git

ROOT = Path(__file__).parents[2]
MODULES = [*ROOT.glob("src/fashion/**/*.py"), *ROOT.glob("flows/**/*.py"), *ROOT.glob("benchmarks/*.py")]
MOST_LINES = 250
MOST_BYTES = 600_000
"""In bytes: the longest list of packages is a little shorter."""
MADE = {".db", ".sqlite", ".keras", ".tflite", ".onnx", ".npy", ".parquet", ".gz", ".log"}
"""Endings of what runs leave behind, by mistake also beside the code."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_can_be_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_function_that_is_longer_or_takes_more_says_why(path):
    exceptions = re.findall(r"# noqa: (?:PLR|C901).*", path.read_text(encoding="utf-8"))
    assert all(re.search(r" - \w", line) for line in exceptions), exceptions


def test_git_has_nothing_that_a_run_has_made_and_nothing_large():
    files = [ROOT / name for name in git(ROOT, "ls-files", "-z").split("\0") if name]
    assert len(files) > 500
    found = [file for file in files if file.suffix in MADE or (file.exists() and file.stat().st_size > MOST_BYTES)]
    assert found == []
