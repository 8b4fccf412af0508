"""Projects for tests. Nothing here writes outside a temporary folder."""

import gc
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

# Threads of OpenBLAS and OpenMP wait for each other in loops: of several processes a core, each takes the time of many.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil
import pytest
from filelock import FileLock

from fashion.defaults import read_defaults
from fashion.paths import Project
from tests.projects import SOURCE, copy_project, git, make_pipeline, make_small, move_registry, train_small
from tests.servers import end, reserved_port, start_mlflow, wait_for

REAL_DATA = SOURCE.parent / "shared" / "data" / "fashion-mnist"


CANDIDATES = "CANDIDATES_FOLDER"
"""The variable with the folder in which workers share the candidates that they have trained."""
MEMORY_FOLDER, MEMORY_BYTES = Path("/dev/shm"), 6 * 10**9
SLOWEST_FIRST = (
    "e2e/test_services.py",
    "fuzz/test_readers.py",
    "unit/test_training.py",
    "unit/test_pretrained.py",
    "unit/test_recipe_training.py",
    "faults/test_killed.py",
    "e2e/test_shared_servers.py",
    "integration/test_collect.py",
    "integration/test_training_flow.py",
    "integration/test_retraining_flow.py",
    "integration/test_colour.py",
    "e2e/test_main_job.py",
    "integration/test_register.py",
    "integration/test_tuning.py",
    "faults/test_registry_away.py",
    "integration/test_explore.py",
    "integration/test_service_image.py",
    "e2e/test_reproduction.py",
    "integration/test_promotion.py",
    "integration/test_export.py",
    "faults/test_full_disk.py",
    "integration/test_advice.py",
    "integration/test_absence.py",
    "faults/test_janitor.py",
    "integration/test_start_from.py",
    "e2e/test_behaviour.py",
    "integration/test_monitor.py",
    "integration/test_import.py",
    "integration/test_extending.py",
    "integration/test_single_changes.py",
    "integration/test_deployments.py",
    "integration/test_cluster.py",
    "integration/test_another_dataset.py",
    "integration/test_evaluate.py",
)
"""Files by the time they take, so that no worker is left alone with a long one at the end. The second to
fifth need nothing trained, so that they do not wait until the first has trained it."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary folders in memory where there is plenty: on a disk, every `fsync` of a test stops the others.

    And look for garbage as seldom as `flows` does: TensorFlow, MLflow and Great Expectations are imported, too.
    """
    gc.set_threshold(20_000, 10, 10)
    if config.option.basetemp is None and MEMORY_FOLDER.is_dir():
        free = min(shutil.disk_usage(MEMORY_FOLDER).free, psutil.virtual_memory().available // 2)
        if free >= MEMORY_BYTES and os.access(MEMORY_FOLDER, os.W_OK):
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_FOLDER))


def pytest_xdist_auto_num_workers() -> int:
    """Return two more than the cores, as many tests wait for time limits of other programs; 3 GB of memory for each."""
    memory = psutil.virtual_memory().total // (3 * 10**9)
    return max(1, min((os.cpu_count() or 1) + 2, memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --dist=loadfile and --no-loadscope-reorder a worker takes the next file when it is done with one."""
    place = {name: number for number, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(Path(__file__).parent).as_posix(), len(place)))


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
    nobody = Project(tmp_path_factory.mktemp("nobody"))
    nobody.state.mkdir()  # Prefect warns when it is imported and cannot make its folder there.
    use_environment(nobody, monkeypatch)
    return home


@pytest.fixture
def project(bare_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A bare copy of this project: no data, no artifacts."""
    return copy_template(bare_template, tmp_path / "project", monkeypatch)


@pytest.fixture
def small_project(small_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this project with 600 training and 200 test images, drawn."""
    return copy_template(small_template, tmp_path / "small", monkeypatch)


@pytest.fixture
def larger_project(larger_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this project with 1,500 training and 200 test images, drawn."""
    return copy_template(larger_template, tmp_path / "project", monkeypatch)


@pytest.fixture
def trained_project(trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this project after the whole main job on 600 drawn images: artifacts, runs and a champion."""
    return copy_trained(trained_template, tmp_path / "project", monkeypatch)


# Templates: made once for all workers. Copy them; never change them.


@pytest.fixture(scope="session")
def bare_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory, "bare", copy_project)


@pytest.fixture(scope="session")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory, "small", lambda folder: make_small(copy_project(folder)))


@pytest.fixture(scope="session")
def larger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory, "larger", lambda folder: make_small(copy_project(folder), train=1500))


@pytest.fixture(scope="session")
def prefect_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a project whose Prefect server has once been up: its database takes longer to make than to start."""
    from prefect.context import refresh_global_settings_context

    from flows.services.server import prefect_server

    def make(folder: Path) -> None:
        with prefect_server(Project(folder)):
            pass
        refresh_global_settings_context()

    return make_template(tmp_path_factory, "prefect", make) / ".state" / "prefect"


@pytest.fixture(scope="session")
def trained_template(small_template: Path, prefect_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command that `make run` types."""

    def make(folder: Path) -> None:
        shutil.copytree(small_template, folder, symlinks=True)
        copy_prefect(prefect_template, Project(folder))
        train_small(Project(folder))

    return make_template(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def pipeline_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory, "pipeline", lambda folder: make_pipeline(Project(folder)))


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty `mlflow.db`, for which MLflow takes seconds."""

    from mlflow import MlflowClient

    def make(folder: Path) -> None:
        folder.mkdir()
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return make_template(tmp_path_factory, "registry", make)


@pytest.fixture(scope="session", autouse=True)
def shared_candidates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one worker has trained for the registry is there for all."""
    os.environ[CANDIDATES] = str(shared_folder(tmp_path_factory) / "candidates")


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def make_template(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` makes, unless another worker has done so or is about to."""
    shared = shared_folder(factory)
    folder, made = shared / f"{name}-template", shared / f"{name}-template.made"
    with FileLock(shared / f"{name}-template.lock"), pytest.MonkeyPatch.context() as patch:
        if not made.exists():
            use_environment(Project(folder), patch)
            make(folder)
            if (folder / ".git").exists():
                git(folder, "gc", "--quiet")  # One file instead of hundreds: the folder is copied for most tests.
            made.touch()
    return folder


def copy_prefect(template: Path, project: Project) -> None:
    """Give the project the database of a Prefect server that knows of no run."""
    shutil.copytree(template, project.state / "prefect")


def authentication(project: Project) -> str:
    """The string that a Prefect server of this project asks for."""
    content = tomllib.loads((project.state / "prefect" / "profiles.toml").read_text(encoding="utf-8"))
    return str(content["profiles"][content["active"]]["PREFECT_API_AUTH_STRING"])


def copy_template(template: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of this test's own, to which everything it starts belongs."""
    copy = Project(shutil.copytree(template, destination, symlinks=True))
    use_environment(copy, monkeypatch)
    return copy


def copy_trained(template: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of a project with a registry, which is the copy's own."""
    copy = copy_template(template, destination, monkeypatch)
    move_registry(copy, template)
    forget_artifact_folders()
    return copy


@pytest.fixture
def new_port() -> Iterator[Callable[[], int]]:
    """Each call gives a port that is this test's own."""
    with ExitStack() as reserved:
        yield lambda: reserved.enter_context(reserved_port())


@pytest.fixture
def mlflow_server(tmp_path: Path, new_port: Callable[[], int]) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """An MLflow server: its address and its process."""
    address, process = start_mlflow(tmp_path, new_port())
    try:
        wait_for(address, process)
        yield address, process
    finally:
        end(process)


@pytest.fixture(scope="module")
def server_home(prefect_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Where the Prefect server of one file's tests keeps its state."""
    home = Project(tmp_path_factory.mktemp("server"))
    copy_prefect(prefect_template, home)
    return home


@pytest.fixture(scope="module")
def address(server_home: Project) -> Iterator[str]:
    """A Prefect server for the tests of one file."""
    from prefect.context import refresh_global_settings_context

    from flows.services.server import prefect_server

    with pytest.MonkeyPatch.context() as patch:
        use_environment(server_home, patch)
        with prefect_server(server_home) as temporary:
            assert temporary
            yield os.environ["PREFECT_API_URL"]
    refresh_global_settings_context()


@pytest.fixture
def at_server(address: str, server_home: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Project]:
    """Everything in this test, and what it starts, speaks to that server."""
    from prefect.context import refresh_global_settings_context

    def enter(project: Project) -> Project:
        project.state.mkdir(exist_ok=True)
        monkeypatch.setenv("PREFECT_API_URL", address)
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", authentication(server_home))
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


class PowerCut:
    """What a power cut would take: the real `fsync` and the real renaming, watched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: dict[str, set[str]] = {}
        """By the new name of what was renamed: the names of the files and folders in it that were not on the disk."""
        self.flushed: set[Path] = set()
        self._states: set[tuple[int, int]] = set()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._flush)
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, partial(self._move, getattr(os, name)))

    def _flush(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._states.add(_state(os.fstat(descriptor)))
        self.flushed.add(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def _move(self, move: Callable[..., None], source: Path, target: Path) -> None:
        there = [Path(source), *Path(source).rglob("*")]
        self.lost[Path(target).name] = {path.name for path in there if _state(path.stat()) not in self._states}
        self.flushed.discard(Path(target).parent)
        move(source, target)


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


@pytest.fixture
def fixed_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested on hangs on a secret that the first collection draws; here it is always the same."""
    monkeypatch.setattr("fashion.loop.collect.secrets", SimpleNamespace(token_hex=lambda size: "5a" * size))


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch) -> PowerCut:
    return PowerCut(monkeypatch)


def forget_artifact_folders() -> None:
    """MLflow remembers by a run's id where its artifacts are; the runs of all copies have the same ids."""
    if utils := sys.modules.get("mlflow.tracking._tracking_service.utils"):
        utils._artifact_repos_cache.clear()


@cache
def shipped_defaults() -> dict[str, str]:
    """Read once: every test needs them."""
    return read_defaults(SOURCE)


def use_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tool's state goes below `project`, and Prefect has no server unless the test starts one."""
    defaults = read_defaults(project.root) or shipped_defaults()
    for name, value in defaults.items():
        monkeypatch.setenv(name, value.replace(str(SOURCE), str(project.root)))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
