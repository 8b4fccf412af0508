"""dvc.yaml, the command line, the flow and the code tell the same story."""

import re
from configparser import ConfigParser
from pathlib import Path

import grimp
import pytest
import yaml
from dvc.repo import Repo
from dvc_render.html import HTML
from typer.main import get_command

from fashion.cli import app

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
AROUND_DVC = {"fetch", "register"}


def test_every_stage_is_a_command_of_its_name():
    commands = set(get_command(app).commands)
    assert set(STAGES) | AROUND_DVC <= commands
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"PATH=.venv/bin:$PATH fashion {name}"


def test_every_stage_is_a_module_with_a_function_of_its_name():
    for name in set(STAGES) | AROUND_DVC:
        room = "registry" if name == "register" else "stages"
        assert f"\ndef {name}(" in (ROOT / "src/fashion" / room / f"{name}.py").read_text()


def test_the_flow_runs_the_stages_of_dvc_in_their_order():
    from flows.pipeline import PIPELINE

    assert list(PIPELINE) == list(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_a_stage_imports_is_among_its_dependencies(stage):
    declared = {dependency for dependency in STAGES[stage]["deps"] if dependency.startswith("src/")}
    graph = grimp.build_graph("fashion")
    modules = {f"fashion.stages.{stage}"} | graph.find_upstream_modules(f"fashion.stages.{stage}")
    needed = {_file(module) for module in modules}
    covered = {file for file in needed if any(file == one or file.startswith(f"{one}/") for one in declared)}
    assert needed == covered, f"add to the deps of {stage}: {sorted(needed - covered)}"
    unneeded = {one for one in declared if not any(file == one or file.startswith(f"{one}/") for file in needed)}
    assert not unneeded, f"remove from the deps of {stage}: {sorted(unneeded)}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_a_stage_reads_is_declared(stage):
    source = (ROOT / "src/fashion/stages" / f"{stage}.py").read_text()
    declared = [str(name) for name in STAGES[stage].get("params", [])]
    for section in ("data", "validate", "prepare", "train", "evaluate", "export"):
        if re.search(rf"params\.{section}_?\b", source):
            assert any(name.split(".")[0] == section for name in declared), section


def _file(module: str) -> str:
    path = Path("src", *module.split("."))
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def test_the_page_of_plots_is_made_from_a_template_that_dvc_takes_and_says_what_it_cannot_draw_offline():
    config = ConfigParser()
    config.read_string("\n".join(line.strip() for line in (ROOT / ".dvc/config").read_text().splitlines()))
    template = ROOT / ".dvc" / config["plots"]["html_template"]
    page = HTML(template.read_text(encoding="utf-8")).with_element("<p>a plot</p>").embed()
    assert "<p>a plot</p>" in page
    assert "Without a network this chart is not drawn" in page
    assert "http" not in page


def test_compiled_code_is_no_part_of_a_folder_that_a_stage_depends_on():
    """It holds the path of the project, so that no lock would hold on another machine."""
    folders = [
        ROOT / path for stage in STAGES.values() for path in stage["deps"] if (ROOT / path / "__init__.py").exists()
    ]
    with Repo(str(ROOT)) as repo:
        assert all(repo.dvcignore.is_ignored_dir(str(folder / "__pycache__")) for folder in folders)
        assert not any(repo.dvcignore.is_ignored_dir(str(folder)) for folder in folders)
    assert folders
