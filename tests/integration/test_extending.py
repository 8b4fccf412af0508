"""docs/extending.md: its very changes are made to a copy of the project, and its commands are typed there."""

import json
import re
import shutil
import sys

import pytest

from tests.conftest import use_environment
from tests.faults.commands import must
from tests.projects import SOURCE, commit, copy_project, make_small

SECTIONS = dict(
    part.split("\n", 1) for part in (SOURCE / "docs" / "extending.md").read_text(encoding="utf-8").split("\n## ")[1:]
)


def blocks(section, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)


def change(root, block):
    """Make the changes of one block of the document; each part of it has one place where it belongs."""
    heading, *lines = block.splitlines(keepends=True)
    path = root / heading.removeprefix("--- ").strip()
    text = path.read_text(encoding="utf-8")
    for part in "".join(lines).split("@@\n"):
        marked = part.splitlines(keepends=True)
        before = "".join(line[1:] for line in marked if not line.startswith("+"))
        assert text.count(before) == 1, f"{path}: {before}"
        text = text.replace(before, "".join(line[1:] for line in marked if not line.startswith("-")))
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy with small drawn data and all that the document adds."""
    project = copy_project(tmp_path_factory.mktemp("extended") / "project")
    with pytest.MonkeyPatch.context() as patch:
        use_environment(project, patch)
        make_small(project)
    shutil.copy(SOURCE / "params.yaml", project.params)  # Of the same meaning, with its comments.
    for section in SECTIONS:
        for block in blocks(section, "diff"):
            change(project.root, block)
        for block in blocks(section, "python"):
            (project.root / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    commit(project.root, "Extended")
    return project


@pytest.fixture
def typed(extended, monkeypatch):
    """What the commands of a section print in the copy, by the copy's code."""
    use_environment(extended, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(extended.root / "src"))
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # Its lines are not the project's.
    return lambda section: must(extended, "sh", "-ec", "".join(blocks(section, "sh")))


def test_every_section_changes_something_and_types_a_command():
    assert len(SECTIONS) == 4
    assert all(blocks(section, "diff") and blocks(section, "sh") for section in SECTIONS)


def test_a_corruption_is_offered_as_a_drift_and_changes_images(extended, typed):
    assert "salt" in typed("A corruption").splitlines()
    script = """
import numpy as np
from fashion.images.corruptions import corrupt
for severity in (1, 5):
    print(corrupt("salt", severity, np.zeros((10, 28, 28, 1), np.uint8), np.random.default_rng(0)).mean() / 255)
"""
    weak, strong = map(float, must(extended, sys.executable, "-c", script).split())
    assert weak == pytest.approx(0.01, abs=0.005)
    assert strong == pytest.approx(0.1, abs=0.02)


def test_a_network_is_trained_by_its_name(extended, typed):
    typed("A network")
    assert json.loads((extended.model / "training.json").read_text())["network"] == "tiny"


def test_a_gate_is_held_against_its_limit(extended, typed):
    typed("A gate")
    checks = json.loads((extended.evaluation / "gate.json").read_text())["checks"]
    (check,) = [check for check in checks if check["name"] == "parameters"]
    measured = json.loads((extended.evaluation / "metrics.json").read_text())
    assert (check["value"], check["limit"], check["verdict"]) == (measured["parameters"], 300_000, "passed")


def test_a_stage_runs_in_the_pipeline_and_dvc_knows_what_it_depends_on(extended, typed):
    typed("A stage")
    page = (extended.root / "artifacts" / "card" / "card.md").read_text()
    assert page.startswith("Accuracy ")
    assert page.count("| ") > 10
    contract = extended.root / "tests" / "contract" / "test_pipeline.py"
    contract.parent.mkdir(parents=True)
    shutil.copy(SOURCE / "tests" / "contract" / "test_pipeline.py", contract)
    must(extended, sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", str(contract))
