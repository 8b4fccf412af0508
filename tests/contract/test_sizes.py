"""What is small is read: how long a module may be. Ruff holds the sizes of functions, but for those that say why."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [*ROOT.glob("src/fashion/**/*.py"), *ROOT.glob("flows/**/*.py"), *ROOT.glob("benchmarks/*.py")]
MOST_LINES = 250


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_can_be_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_function_that_is_longer_or_takes_more_says_why(path):
    exceptions = re.findall(r"# noqa: (?:PLR|C901).*", path.read_text(encoding="utf-8"))
    assert all(re.search(r" - \w", line) for line in exceptions), exceptions
