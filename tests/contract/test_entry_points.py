"""Every process sets its environment before a tool is imported that looks at it then."""

import os
import subprocess
import sys

import pytest
from dotenv import dotenv_values

from fashion.defaults import read_defaults
from fashion.paths import Project
from tests.projects import SOURCE

TOOLS = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations", "evidently", "dvc", "matplotlib")
BENCHMARKS = [
    f"benchmarks.{path.stem}" for path in sorted((SOURCE / "benchmarks").glob("*.py")) if "main()\n" in path.read_text()
]


def run(project, *arguments, **variables):
    """What a process prints in which nobody has set a default."""
    defaults = read_defaults(project.root)
    kept = {name: value for name, value in os.environ.items() if name not in defaults}
    command = [sys.executable, *arguments]
    result = subprocess.run(
        command, cwd=project.root, env=kept | variables, capture_output=True, text=True, check=False
    )
    return result.stdout


def test_prefect_which_is_slow_to_read_dotenv_finds_nothing_there_but_what_it_needs():
    """Decision 5: the others stand in defaults.env, which it does not read."""
    assert set(dotenv_values(SOURCE / ".env")) == {
        "PREFECT_API_URL",
        "PREFECT_HOME",
        "PREFECT_SERVER_ANALYTICS_ENABLED",
    }
    assert not dotenv_values(SOURCE / ".env").keys() & dotenv_values(SOURCE / "defaults.env").keys()


@pytest.mark.parametrize("module", ["fashion.cli", "flows.services"])
def test_an_entry_point_imports_no_tool_before_it_has_set_the_environment(project, module):
    looked_at = f"import {module}, sys; print(sorted(set(sys.modules) & set({TOOLS})))"
    assert run(project, "-c", looked_at) == "[]\n"


def test_a_training_by_hand_sets_the_environment_before_it_imports_prefect(project, tmp_path):
    stand_in = tmp_path / "first" / "prefect.py"
    stand_in.parent.mkdir()
    stand_in.write_text("import os; print(os.environ.get('DO_NOT_TRACK')); os._exit(0)", encoding="utf-8")
    found = run(project, "-u", "-m", "flows.training", "--synthetic", PYTHONPATH=str(stand_in.parent))
    assert found == "true\n"


def test_no_benchmark_imports_a_tool_before_it_has_set_the_environment():
    looked_at = f"import sys, {', '.join(BENCHMARKS)}; print(sorted(set(sys.modules) & set({TOOLS})))"
    assert run(Project(SOURCE), "-c", looked_at) == "[]\n"


def test_every_benchmark_tells_what_it_does_instead_of_measuring():
    asked = (
        "import importlib, sys; sys.argv.append('--help')\n"
        f"for name in {BENCHMARKS}:\n"
        "    try: importlib.import_module(name).main()\n"
        "    except SystemExit as end: assert end.code == 0, name\n"
        "    else: raise AssertionError(name)\n"
        "print('end')"
    )
    assert run(Project(SOURCE), "-c", asked).endswith("end\n")


def test_the_clients_of_the_soak_send_images_as_a_dataset_has_them():
    sent = (
        "import numpy\n"
        "from benchmarks.clients import Clients\n"
        "for client in Clients(9, numpy.zeros((70, 28, 28, 1), numpy.uint8)).all(): client.close()\n"
        "print('end')"
    )
    assert run(Project(SOURCE), "-c", sent) == "end\n"


@pytest.mark.parametrize("name", ["experiments", "recipes", "seeds"])
def test_a_benchmark_that_trains_sets_the_environment_before_it_imports_keras(project, tmp_path, name):
    own = {
        "experiments": ("--variants", "tanh", "--project", str(project.root), "--output", str(tmp_path)),
        "recipes": ("--recipes", "compact"),
        "seeds": ("--work", str(project.root), "--set", "AVX2"),
    }[name]
    stand_in = tmp_path / "first" / "keras.py"
    stand_in.parent.mkdir()
    stand_in.write_text("import os; print(os.environ.get('KERAS_HOME'), flush=True); os._exit(0)", encoding="utf-8")
    arguments = ("-m", f"benchmarks.{name}", "--seeds", "1", *own)
    home = (SOURCE if name == "recipes" else project.root) / ".state" / "keras"
    assert run(Project(SOURCE), *arguments, PYTHONPATH=str(stand_in.parent)) == f"{home}\n"
