"""Making a version again: in a tree of its commit, with its data, by running every stage."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from fashion.adapters import git, tracking, versioning
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.versioning import pinning
from fashion.adapters.weights import read_weights
from fashion.defaults import read_defaults
from fashion.errors import LineageError, ServiceError
from fashion.evaluation.reproduction import Figure, Weights, compare_figures, compare_weights
from fashion.locks import try_hold
from fashion.params import Params
from fashion.paths import LITERT, Project
from fashion.registry.causes import likely_causes
from fashion.registry.lineage import Lineage, fetch_lineage
from fashion.registry.origin import PATCH, describe_origin, requirements_digest
from fashion.settings import SQLITE


@dataclass(frozen=True)
class Reproduction:
    """How the remade model compares with the version. Identical are the weights; the LiteRT model follows from them."""

    name: str
    version: str
    weights: Weights
    same_litert: bool
    """Whether the float LiteRT models are the same bytes."""
    figures: tuple[Figure, ...]
    causes: tuple[str, ...]
    """What may explain a difference; empty where there is none."""

    @property
    def identical(self) -> bool:
        return self.weights.identical


def reproduce(project: Project, params: Params, which: str, on_line: versioning.OnLine) -> Reproduction:
    """Make a version again and compare; nothing in the project changes except DVC's cache, if data had to be fetched.

    Args:
        which: the version's number, or an alias.
        on_line: is given what is being done, and each line of the stages.

    Raises:
        LineageError: no such version, or its commit, its changes or its data are not available.
        ServiceError: MLflow is away, or another reproduction is at work.
        StageError: a stage failed.
    """
    with _workplace(project) as place:
        origin = place / "origin"
        origin.mkdir()
        found = fetch_lineage(project, params, which, origin)
        on_line(f"Version {found.version.number}: {_words(found)}")
        files = tracking.keep_version(registry_of(project, params), found.version, place / "version")
        with git.tree_of(project, _commit(found), origin / PATCH, place / "tree"):
            tree = Project(place / "tree" / found.origin.code.folder)
            # In the patch is the data.dvc of when it was registered; the data may have gone on since the training.
            shutil.copyfile(origin / versioning.PIN, tree.root / versioning.PIN)
            _bring_data(tree, project, found)
            versioning.remake(tree, _environment(tree), on_line)
            return _compare(project, tree, found, files)


def _commit(found: Lineage) -> str:
    commit = found.origin.code.commit
    if commit is None:
        raise LineageError(
            f"Version {found.version.number} of {found.name} was registered without a git commit, so its code is "
            "not known. Make a version that has one: git init, git add --all, git commit, then make run"
        )
    return commit


def _words(found: Lineage) -> str:
    """Say which commit, changes and data are brought together."""
    code = found.origin.code
    changes = f" with {len(code.changed)} changed files" if code.dirty else ""
    return f"commit {str(code.commit)[:12]}{changes}, data {found.origin.data.version[:12]}"


def _bring_data(tree: Project, project: Project, found: Lineage) -> None:
    try:
        pinning.pull_for(tree, project)
    except ServiceError as error:
        advice = (
            "These are drawn images; draw the same ones again, with the options used then: fashion fetch --synthetic"
            if found.origin.data.synthetic
            else "Where they still are, type: dvc push. Here: dvc remote add (docs/remote.md says how)"
        )
        raise LineageError(
            f"The data of version {found.version.number} ({found.origin.data.version}) are {error}. {advice}"
        ) from error


def _environment(tree: Project) -> dict[str, str]:
    """Return variables for the stages: the tree's own code, settings and state, whatever this process was told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FASHION_", "GIT_"))}
    code = os.pathsep.join(filter(None, [str(tree.root / "src"), kept.get("PYTHONPATH")]))
    own = {"FASHION_HOME": str(tree.root), "MLFLOW_TRACKING_URI": f"{SQLITE}{tree.state}/mlflow.db", "PYTHONPATH": code}
    return kept | read_defaults(tree.root) | own


def _compare(project: Project, tree: Project, found: Lineage, files: tracking.Champion) -> Reproduction:
    remade = replace(
        describe_origin(tree, git.read_source(tree), versioning.read_pin(tree)),
        requirements_sha256=requirements_digest(project),
    )
    weights = compare_weights(read_weights(files.keras_model), read_weights(tree.model_file))
    return Reproduction(
        name=found.name,
        version=found.version.number,
        weights=weights,
        same_litert=files.model.read_bytes() == (tree.export / LITERT).read_bytes(),
        figures=compare_figures(found.origin.metrics, remade.metrics),
        causes=() if weights.identical else likely_causes(found.origin, remade),
    )


@contextmanager
def _workplace(project: Project) -> Iterator[Path]:
    """Make a folder below .state and remove it in the end; remove what a killed reproduction left there first."""
    home = project.state / "reproduction"
    with try_hold(home / "lock") as lock:
        if lock is None:
            raise ServiceError("Another reproduction is running in this project; wait until it has ended")
        for left in home.iterdir():
            if left.is_dir():
                _clear(project, left)
        place = Path(tempfile.mkdtemp(dir=home))
        try:
            yield place
        finally:
            _clear(project, place)


def _clear(project: Project, place: Path) -> None:
    _end_processes_in(place)
    git.remove_tree(project, place / "tree")
    shutil.rmtree(place, ignore_errors=True)


def _end_processes_in(place: Path) -> None:
    """End the processes that a killed reproduction left in its tree: a training would go on."""
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(place.resolve()):
                process.kill()
        except (psutil.Error, OSError):
            continue  # Another user's, or it has just ended.
