"""Champions one after the other: what each loses against the one before it does not add up."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from mlflow import MlflowClient

from fashion.adapters import tracking
from fashion.adapters.tracking import address as address_module
from fashion.adapters.tracking.address import registry_of
from fashion.errors import ServiceError
from fashion.params import load_params
from fashion.registry.gates import read_gate
from fashion.registry.judging import judge_candidate
from fashion.registry.promotion import REGISTER, promote
from fashion.registry.register import register
from tests.candidates import make_candidate
from tests.conftest import copy_trained
from tests.projects import edit_params

HARDLY, HALF = {"epochs": 1, "learning_rate": 1e-5}, {"epochs": 3}
"""Recipes by which a model learns next to nothing, and by which it learns half of what there is to learn."""


def load(project):
    return load_params(project.params)


def registry(project):
    return registry_of(project, load(project))


def add(project, recipe):
    """Train and register another version."""
    params = load(project)
    make_candidate(project, recipes={params.train.recipe: params.train.chosen.model_dump() | recipe})
    registered = register(project, load(project))
    edit_params(project, {"train": {"recipes": {params.train.recipe: params.train.chosen.model_dump()}}})
    return registered


def enter(project, number):
    """Make a version champion as its judgement would have done."""
    here = registry(project)
    tracking.record(here, tracking.settle(here), tracking.Decision(REGISTER, number, tracking.Aliases(number), "won"))


@pytest.fixture(scope="module")
def made(trained_template, tmp_path_factory):
    """Version 1 knows its garments; version 2, the champion, next to nothing, as after many losses; 3 lies between."""
    with pytest.MonkeyPatch.context() as patch:
        project = copy_trained(trained_template, tmp_path_factory.mktemp("series") / "project", patch)
        assert add(project, HARDLY).version == "2"
        enter(project, "2")
        registered = add(project, HALF)
        assert registered.version == "3"
    return project.root, registered


@pytest.fixture
def series(made, tmp_path, monkeypatch):
    """A copy of that project, and what came of registering version 3."""
    template, registered = made
    return copy_trained(template, tmp_path / "project", monkeypatch), registered


def judge(project):
    version = tracking.get_version(registry(project), "3")
    return judge_candidate(registry(project), project, load(project), version, read_gate(project))


def test_a_candidate_that_is_better_than_the_champion_alone_is_held_against_the_best_champion_of_before(series):
    _, registered = series
    assert registered.verdict == "challenger"
    # How many classes lose as well depends on how the instruction set rounds.
    reason, *others = registered.judgement.reasons
    assert reason.startswith("its accuracy may be below that of version 1, the most accurate champion so far, by more")
    assert all("below that of version 1, the most accurate champion so far" in other for other in others)
    first, second, *_ = registered.judgement.lines
    assert (first.figure, first.verdict) == ("accuracy", "better")
    assert (second.figure, second.verdict) == ("accuracy against version 1", "may be worse")
    assert (second.champion > first.champion, second.candidate == first.candidate) == (True, True)


def by_hand(project):
    """A person has gone back and forth, and answers for it."""
    promote(project, load(project), "1", "the best one")
    promote(project, load(project), "2", "the small one, all the same")


def deleted(project):
    MlflowClient(registry(project).uri).delete_model_version("fashion-classifier", "1")


def without_files(project):
    source = MlflowClient(registry(project).uri).get_model_version("fashion-classifier", "1").source
    shutil.rmtree(project.state / "mlflow" / "models" / source.removeprefix("models:/"))


def of_another_test_set(project):
    MlflowClient(registry(project).uri).set_model_version_tag("fashion-classifier", "1", "test_set", "another one")


@pytest.mark.parametrize("happened", [by_hand, deleted, without_files, of_another_test_set])
def test_a_champion_of_before_that_counts_no_more_refuses_nobody(series, happened, caplog):
    project, _ = series
    happened(project)
    judgement = judge(project)
    assert judgement.promoted, judgement.reason
    assert not [line for line in judgement.lines if line.figure == "accuracy against version 1"]
    assert ("Version 1, a former champion, cannot be compared" in caplog.text) == (happened is without_files)


@pytest.mark.parametrize("number", ["2", "1"], ids=["the champion", "the best one of before"])
def test_nothing_is_judged_while_the_registry_is_away(series, monkeypatch, number):
    """Another program takes MLflow's database; the twenty seconds for which MLflow waits are left out."""
    project, registered = series
    real = tracking.keep_version

    def take(registry, version, folder):
        if version.number != number:
            return real(registry, version, folder)
        database.execute("BEGIN EXCLUSIVE")
        raise ServiceError("database is locked")

    with closing(sqlite3.connect(project.state / "mlflow.db", isolation_level=None)) as database:
        with monkeypatch.context() as patch, pytest.raises(ServiceError, match=r"cannot be used \(database is lock"):
            patch.setattr(address_module, "PATIENCE_SECONDS", 0.1)
            patch.setattr(tracking, "keep_version", take)
            judge(project)
        database.execute("ROLLBACK")
    assert judge(project).reasons == registered.judgement.reasons
