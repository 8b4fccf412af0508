"""Projects for tests. Nothing here writes outside a temporary folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from fashion.paths import Project
from fashion.settings import environment_defaults
from tests.projects import SOURCE, copy_project, make_small, move_registry, train_small
from tests.servers import end, start_mlflow, wait_for

REAL_DATA = SOURCE.parent / "shared" / "data" / "fashion-mnist"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many inputs were tried on which reader."""
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, []))
    lines = [text for report in reports for name, text in getattr(report, "user_properties", ()) if name == "fuzzed"]
    if lines:
        terminalreporter.section("fuzzed")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and no variable that points to a user's project or services."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("FASHION_", "MLFLOW_", "PREFECT_", "DVC_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    use_environment(Project(home), monkeypatch)
    return home


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A bare copy of this project: no data, no artifacts."""
    copy = copy_project(tmp_path / "project")
    use_environment(copy, monkeypatch)
    return copy


@pytest.fixture
def small_project(small_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this project with 600 training and 200 test images, drawn."""
    copy = Project(tmp_path / "small")
    shutil.copytree(small_template, copy.root, symlinks=True)
    use_environment(copy, monkeypatch)
    return copy


@pytest.fixture(scope="session")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for all workers. Copy it; never change it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder
    template = shared / "small-template"
    with FileLock(shared / "small-template.lock"), pytest.MonkeyPatch.context() as patch:
        if not (template / ".state" / "drawn").exists():
            use_environment(Project(template), patch)
            make_small(copy_project(template))
            (template / ".state" / "drawn").touch()
    return template


@pytest.fixture
def trained_project(trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this project after the whole main job on 600 drawn images: artifacts, runs and a champion."""
    copy = Project(tmp_path / "project")
    shutil.copytree(trained_template, copy.root, symlinks=True)
    move_registry(copy, trained_template)
    forget_artifact_folders()
    use_environment(copy, monkeypatch)
    return copy


@pytest.fixture(scope="session")
def trained_template(small_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for all workers, by the command that `make run` types. Copy it; never change it."""
    shared = small_template.parent
    template = shared / "trained-template"
    with FileLock(shared / "trained-template.lock"), pytest.MonkeyPatch.context() as patch:
        if not (template / ".state" / "trained").exists():
            shutil.copytree(small_template, template, symlinks=True)
            use_environment(Project(template), patch)
            train_small(Project(template))
            (template / ".state" / "trained").touch()
    return template


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """An MLflow server on a free port: its address and its process."""
    address, process = start_mlflow(tmp_path)
    try:
        wait_for(address, process)
        yield address, process
    finally:
        end(process)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server for the tests of one file."""
    from prefect.context import refresh_global_settings_context

    from flows.server import prefect_server

    with pytest.MonkeyPatch.context() as patch:
        home = Project(tmp_path_factory.mktemp("server"))
        use_environment(home, patch)
        with prefect_server(home) as temporary:
            assert temporary
            yield os.environ["PREFECT_API_URL"]
    refresh_global_settings_context()


@pytest.fixture
def at_server(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Project]:
    """Everything in this test, and what it starts, speaks to that server."""
    from prefect.context import refresh_global_settings_context

    def enter(project: Project) -> Project:
        project.state.mkdir(exist_ok=True)
        monkeypatch.setenv("PREFECT_API_URL", address)
        monkeypatch.setenv("FASHION_HOME", str(project.root))
        refresh_global_settings_context()
        return project

    return enter


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real dataset; the test is skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real dataset is not at {REAL_DATA}")
    return REAL_DATA


def forget_artifact_folders() -> None:
    """MLflow remembers by a run's id where its artifacts are; the runs of all copies have the same ids."""
    if utils := sys.modules.get("mlflow.tracking._tracking_service.utils"):
        utils._artifact_repos_cache.clear()


def use_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tool's state goes below `project`, and Prefect has no server unless the test starts one."""
    defaults = environment_defaults(project) or environment_defaults(Project(SOURCE))
    for name, value in defaults.items():
        monkeypatch.setenv(name, value.replace(str(SOURCE), str(project.root)))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
