"""What `fashion doctor` finds, each on the case itself."""

import json
import os
import pwd
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from typer.testing import CliRunner

from fashion.cli import app
from fashion.defaults import read_defaults
from fashion.doctor import environment, machine, services
from fashion.doctor.finding import NOTE, PROBLEM, WELL
from fashion.locks import hold
from fashion.params import load_params
from fashion.paths import Project
from flows import training
from tests.advice import follow
from tests.projects import SOURCE, git
from tests.traffic import Traffic


def test_an_environment_of_another_project_is_a_problem_and_the_way_out_is_named(project):
    assert environment.check_packages(project).verdict == WELL
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / ".installed").write_text(f"folder {project.root}\n")
    found = environment.check_packages(project)
    assert found.verdict == PROBLEM
    assert f"source {project.root}/.venv/bin/activate" in found.said


def test_git_says_why_it_does_not_answer(project, monkeypatch):
    found = environment.check_git(project)
    assert (found.verdict, found.said) == (WELL, f"commit {git(project.root, 'rev-parse', 'HEAD')[:10]}")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = environment.check_git(project)
    assert found.verdict == PROBLEM
    assert "git config --global --add safe.directory" in found.said + found.advice


@pytest.mark.advice("git init", "doctor/environment.py")
@pytest.mark.advice("git add", "doctor/environment.py")
@pytest.mark.advice("git commit", "doctor/environment.py")
def test_a_project_without_git_is_told_what_that_means(project, tmp_path, monkeypatch):
    (project.root / ".git").rename(tmp_path / "aside")
    found = environment.check_git(project)
    assert found.verdict == NOTE
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@localhost")
    follow(project, found.advice, found.advice)
    assert environment.check_git(project).verdict == WELL


@pytest.mark.advice("unset", "doctor/environment.py")
def test_variables_that_another_project_has_set_are_named(project, monkeypatch):
    for name in set(os.environ) - read_defaults(project.root).keys():
        if environment.STEERING.fullmatch(name):  # Of whoever started the tests, or of a library in this process.
            monkeypatch.delenv(name)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # By apply_environment, which every entry point calls first.
    assert environment.check_variables(project).verdict == WELL
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "not TensorFlow's")
    found = environment.check_variables(project)
    assert found.verdict == NOTE
    assert found.advice.endswith("unset MLFLOW_HTTP_REQUEST_TIMEOUT ONEDNN_MAX_CPU_ISA")
    with pytest.MonkeyPatch.context() as patch:
        for name in found.advice.partition("unset ")[2].split():
            patch.delenv(name)
        assert environment.check_variables(project).verdict == WELL
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/other.db")
    found = environment.check_variables(project)
    assert found.verdict == PROBLEM
    assert "unset MLFLOW_REGISTRY_URI" in found.said


def test_a_proxy_is_shown_without_its_password(project, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:secret@proxy.example:3128")
    found = environment.check_proxies(project)
    assert found.verdict == NOTE
    assert "https_proxy=http://proxy.example:3128" in found.said
    assert "secret" not in found.said + found.advice


@pytest.fixture
def anybodys_project():
    """A folder that every user may enter, and write to."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o777)
        (root / ".state").mkdir()
        (root / ".state").chmod(0o777)
        yield Project(root)


@pytest.mark.advice("chown", "doctor/machine.py")
def test_what_this_user_may_not_write_is_a_problem_and_its_owner_is_named(anybodys_project):
    project = anybodys_project
    assert machine.check_folder(project).verdict == WELL
    (project.state / "mlflow.db").touch(0o444)
    found = as_nobody(project)
    assert found["verdict"] == PROBLEM
    assert f"{project.state / 'mlflow.db'} belongs to {project.root.owner()}" in found["said"]
    (project.state / "mlflow.db").unlink()
    project.state.chmod(0o555)
    found = as_nobody(project)
    assert found["verdict"] == PROBLEM
    assert f"may not write to {project.state}" in found["said"]
    if os.geteuid() == 0:
        project.state.chmod(0o755)
        (command,) = re.findall(r"chown -R .*", found["advice"])
        follow(project, found["advice"], command)
        assert as_nobody(project)["verdict"] == WELL


def as_nobody(project):
    """What the check finds for a user who is not root: in a process that becomes one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            os.write(writing, json.dumps(asdict(machine.check_folder(project))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return json.loads(found)


def test_a_full_disk_and_a_full_memory_are_problems(project, monkeypatch):
    assert machine.check_disk(project).verdict == WELL
    assert machine.check_memory(project).verdict == WELL
    monkeypatch.setattr(machine, "DISK_NEEDED", 1e9)
    monkeypatch.setattr(machine, "MEMORY_NEEDED", 1e9)
    assert machine.check_disk(project).verdict == PROBLEM
    assert machine.check_memory(project).verdict == PROBLEM


def test_an_owner_without_a_name_is_told_by_its_number(project, monkeypatch):
    """As in a container, and on a disk of the network."""

    def fail(number):
        raise KeyError(number)

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(pwd, "getpwuid", fail)
    found = machine.check_folder(project)
    assert found.verdict == PROBLEM
    assert f"work as its owner (user {project.root.stat().st_uid})" in found.advice


def test_a_processor_that_tensorflow_does_not_run_on_is_a_problem(project, monkeypatch):
    assert machine.check_processor(project).verdict != PROBLEM
    monkeypatch.setattr(machine, "describe_processor", lambda: ("Old one", ["sse2"]))
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "1", "1", "x86_64")))
    assert machine.check_processor(project).said == "Old one has no AVX, which TensorFlow needs"


def test_a_port_that_another_program_has_is_named_with_the_program(project, new_port, monkeypatch):
    for name in ("FASHION_SERVE_PORT", "FASHION_MLFLOW_PORT"):
        monkeypatch.setenv(name, str(new_port()))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{new_port()}/api")
    assert services.check_ports(project).verdict == WELL
    port = new_port()
    monkeypatch.setenv("FASHION_SERVE_PORT", str(port))
    with listening(sys._base_executable, port) as process:  # A Python that is not of this environment.
        found = services.check_ports(project)
        assert found.verdict == PROBLEM
        assert f"{port} is in use by {psutil.Process(process.pid).name()} (process {process.pid})" in found.said
        assert "FASHION_SERVE_PORT" in found.advice
        with hold(project.state / "services.lock", on_wait=lambda _: None):
            assert services.check_ports(project).verdict == PROBLEM


def test_ports_that_the_projects_own_services_have_are_well(project, new_port, monkeypatch):
    mlflow, serve = new_port(), new_port()
    for name, port in (("FASHION_MLFLOW_PORT", mlflow), ("FASHION_SERVE_PORT", serve)):
        monkeypatch.setenv(name, str(port))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{new_port()}/api")
    with listening(sys.executable, serve):
        assert services.check_ports(project).said == f"this project's services are at {serve}"
    with listening(sys.executable, mlflow):
        assert services.check_ports(project).verdict == PROBLEM, "`make up` would find it taken."
        with hold(project.state / "services.lock", on_wait=lambda _: None):
            assert services.check_ports(project).said == f"this project's services are at {mlflow}"


@contextmanager
def listening(python, port):
    """A process of this Python that listens."""
    listen = f"import socket; found = socket.create_server(('127.0.0.1', {port})); print(flush=True); input()"
    with subprocess.Popen([python, "-c", listen], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_data_that_are_pinned_and_not_there_are_noticed(small_project):
    assert services.check_data(small_project).verdict == WELL
    next(small_project.data.glob("*train*")).unlink()
    found = services.check_data(small_project)
    assert found.verdict == NOTE
    assert "fashion fetch" in found.advice
    (small_project.root / "data.dvc").write_text("outs: nonsense")
    assert services.check_data(small_project).verdict == PROBLEM


def test_a_prefect_server_elsewhere_has_to_answer(project, new_port, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{new_port()}/api")
    assert services.check_prefect(project).verdict == WELL
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.invalid/api")
    assert services.check_prefect(project).verdict == PROBLEM


def test_databases_that_cannot_be_read_are_problems(project, monkeypatch):
    assert services.check_registry(project).verdict == WELL
    assert services.check_prediction_log(project).verdict == WELL
    assert not list(project.state.glob("*.db")), "Nothing is made by looking."
    for name in ("mlflow.db", "predictions.db"):
        (project.state / name).parent.mkdir(exist_ok=True)
        (project.state / name).write_bytes(b"no database" * 1000)
    for found in (services.check_registry(project), services.check_prediction_log(project)):
        assert found.verdict == PROBLEM
        assert "cannot be used" in found.said


def test_the_champion_and_the_predictions_are_named(trained_project):
    assert "version 1 of fashion-classifier is champion" in services.check_registry(trained_project).said
    traffic = Traffic(trained_project, load_params(trained_project.params))
    ids, labels = traffic.send(5)
    traffic.label(ids[:2], labels[:2])
    found = services.check_prediction_log(trained_project)
    assert (found.verdict, found.advice) == (WELL, "")
    assert found.said == "5 predictions, 2 of them with a label not collected yet"
    traffic.time += timedelta(days=3, hours=1)
    traffic.send(1)
    traffic.log.close()
    found = services.check_prediction_log(trained_project)
    assert (found.verdict, "2 days" in found.advice) == (NOTE, True)


def test_the_command_shows_all_and_fails_where_there_is_a_problem(trained_project, monkeypatch):
    monkeypatch.chdir(SOURCE)
    monkeypatch.setenv("FASHION_HOME", str(SOURCE))
    quick = CliRunner().invoke(app, ["doctor", "--quick", "--json"])
    subjects = [finding["subject"] for finding in json.loads(quick.stdout)]
    assert subjects == ["packages", "git", "variables", "proxies", "folder", "disk", "memory", "processor"]

    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/other.db")
    whole = CliRunner().invoke(app, ["doctor"])
    assert whole.exit_code == 1
    for word in ("problem", "MLFLOW_REGISTRY_URI", "data", "ports", "Prefect", "MLflow", "prediction log"):
        assert word in whole.stdout


@pytest.mark.advice("fashion doctor", "flows/training.py")
def test_a_run_tells_beforehand_what_is_likely_to_stop_it(project, monkeypatch, capsys):
    monkeypatch.setattr(machine, "DISK_NEEDED", 1e9)
    training._tell_problems(project)
    told = capsys.readouterr().err
    assert "a training needs 1000000000 GB" in told
    assert "fashion doctor" in told
    looked = CliRunner().invoke(app, ["doctor"], env={"FASHION_HOME": str(project.root)})
    assert looked.exit_code == 1
    assert "1000000000" in looked.stdout
    assert "dvc gc --workspace" in told
    assert "memory" not in told


@pytest.mark.advice("fashion doctor", "cli/terminal.py")
def test_an_error_of_the_machine_names_the_command_that_looks_for_its_cause(project):
    away = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "FASHION_HOME": str(project.root)}
    command = [sys.executable, "-c", "from fashion.cli import main; main()"]
    asked = subprocess.run([*command, "history"], env=away, capture_output=True, text=True, check=False)
    assert asked.stderr.splitlines()[-1].endswith(": fashion doctor")
    looked = subprocess.run([*command, "doctor"], env=away, capture_output=True, text=True, check=False)
    assert looked.returncode == 1
    assert "No MLflow server answers at http://127.0.0.1:9" in " ".join(looked.stdout.replace("│", " ").split())
    local = away | {"MLFLOW_TRACKING_URI": ""}
    mistyped = subprocess.run([*command, "lineage", "x"], env=local, capture_output=True, text=True, check=False)
    assert mistyped.returncode == 1
    assert "fashion doctor" not in mistyped.stderr
