"""The service in an environment that has its packages alone, and what is said where an extra is lacking."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from fashion.adapters import litert
from fashion.importing import EXTRAS
from fashion.params import load_params
from fashion.registry.champion import find_champion
from fashion.stages.dataset import load_split
from tests.environments import make_environment
from tests.projects import SOURCE
from tests.servers import end, wait_until

FASHION = ("-c", "from fashion.cli import main; main()")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("installed") / "serve", "requirements-serve.lock")


def run(python, *arguments, **variables):
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | variables
    return subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_list_for_the_service_has_everything_that_its_packages_ask_for(python):
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip(f"{uv} is not there: the environment is not of make setup")
    checked = run(uv, "pip", "check", "--python", python)
    assert checked.returncode == 0, checked.stderr
    modules = [name for extra in ("batch", "train", "flows") for name in EXTRAS[extra]]
    found = run(python, "-c", f"import importlib.util as u; print([name for name in {modules} if u.find_spec(name)])")
    assert found.stdout == "[]\n"


def test_with_the_packages_of_the_service_alone_it_gives_the_same_answers(python, trained_project, new_port):
    images = load_split(trained_project, "test").images[:20]
    champion = find_champion(trained_project, load_params(trained_project.params)).champion
    expected = litert.predict(champion.model, images).probabilities
    port = new_port()
    address, environment = f"http://127.0.0.1:{port}", os.environ | {"FASHION_HOME": str(trained_project.root)}
    command = [python, *FASHION, "serve", "--port", str(port)]
    service = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        wait_until(lambda: is_ready(address, service))
        answer = httpx.post(f"{address}/predict", json={"images": images[..., 0].tolist()}, timeout=60)
        predictions = answer.raise_for_status().json()["predictions"]
        status = httpx.get(f"{address}/status", headers={"accept": "text/html"}, timeout=60)
    finally:
        end(service)
    found = [[one["probabilities"][name] for name in champion.classes] for one in predictions]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert status.status_code == 200


def is_ready(address, service):
    assert service.poll() is None, "the service has ended"
    try:
        return httpx.get(f"{address}/readyz", timeout=60).is_success
    except httpx.TransportError:
        return False


@pytest.mark.advice("make setup", "importing.py")
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(("validate",), "train"), (("evaluate",), "train"), (("predict", "pictures", "--output", "answers"), "batch")],
)
def test_a_command_whose_extra_is_lacking_names_it_in_one_line(python, project, arguments, extra):
    (project.root / "pictures").mkdir()
    said = run(python, *FASHION, *arguments, FASHION_HOME=str(project.root))
    assert said.returncode == 1
    first, *others = said.stderr.splitlines()
    assert first.startswith("error: This needs ")
    assert first.endswith(
        f"In the project's folder, make setup installs everything, and pip install '.[{extra}]' what this needs"
    )
    assert others == ["More about git, variables, proxies, ports, disk and services: fashion doctor"]
    # What make setup installs has it: tests/integration/test_setup.py follows that, and here it is.
    assert "not installed" not in run(sys.executable, *FASHION, "validate", FASHION_HOME=str(project.root)).stderr


def test_without_prefect_the_flows_name_the_extra_in_one_line(python):
    said = run(python, "-m", "flows.services", "up", PYTHONPATH=str(SOURCE))
    assert said.returncode == 1
    assert said.stderr == (
        "error: This needs prefect, which is not installed. In the project's folder, make setup installs everything, "
        "and pip install '.[flows]' what this needs\n"
    )
