"""Labels of two models in one log, through everything that happens to them, in any order.

No label is lost, learned twice or under another name, nothing that was learned from is tested on, and the data of every
version are what it claims. Hypothesis chooses the steps; `labels.Expected` says what should come of them. Blank images
go into quarantine, and spoil a batch where there are too many of them: then the labels of whoever gave them are
refused. LABELS_STEPS=1000 tries other steps, and more.

Left out, since tests of their own have it: what else refuses a batch (labels unlike those of similar images), rows of
earlier code, PostgreSQL, several processes at once, and more than 100,000 labels that wait.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from contextlib import chdir
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.repo import Repo
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fashion.adapters.predictions import PredictionLog, forget
from fashion.adapters.versioning import data_version
from fashion.errors import ArtifactError, DataError
from fashion.loop.collect import collect
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry.origin import find_data
from fashion.stages.batches import read_labels
from fashion.stages.prepare import prepare
from fashion.stages.raw import digests, read_batches
from fashion.stages.validate import validate
from fashion.storage import folder_digest, write_json
from tests.conftest import make_template, use_environment
from tests.faults.labels import CARELESS, Clock, Label, Prediction
from tests.faults.two_models import (
    GONE,
    GROUPS,
    IMAGES,
    MODELS,
    Candidate,
    expect,
    is_held_out,
    make_project,
    make_record,
    pull,
    read_divided,
)
from tests.projects import commit, git

STEPS_AT_ONCE = 25
STEPS = int(os.environ.get("LABELS_STEPS", "100"))
SOURCES = ("anna", "ben")
NOW = "A state of the data"

project_names = st.sampled_from(sorted(MODELS))
images = st.integers(0, len(IMAGES) + 1)
"""Of these, the last ones of the test set and of the training set."""
number = st.integers(0, 1000)
hours = st.sampled_from([0, 0, 0, -2000, -24, -1, 1, 24, 2000])
"""By which somebody moves the clock."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return {
        name: make_template(tmp_path_factory, f"labels-{name}", lambda folder, name=name: make_project(folder, name))
        for name in MODELS
    }


class Labels(RuleBasedStateMachine):
    """The real log, the real stages, the real DVC."""

    def __init__(self, templates, folder, monkeypatch):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.projects = {
            name: Project(shutil.copytree(template, self.folder / name, symlinks=True))
            for name, template in templates.items()
        }
        use_environment(self.projects["first"], monkeypatch)
        monkeypatch.setenv("FASHION_PREDICTIONS_URL", f"sqlite:///{self.folder}/log.db")
        self.clock = Clock()
        self._put_clock(monkeypatch)
        self.log = PredictionLog(f"sqlite:///{self.folder}/log.db")
        self.expected = {name: expect(self.projects[name], name) for name in MODELS}
        self.states = {name: [(commit(self.projects[name].root, NOW), self.expected[name].data)] for name in MODELS}
        """Commits of each project, and what data/ was to hold."""
        self.left = {name: {} for name in MODELS}
        self.trained = {name: expected.data for name, expected in self.expected.items()}
        self.candidates = {}
        self.versions = []
        """Of each registered one its project, the pin that it claims, and the files that it was made of."""
        self.given = 0

    def _put_clock(self, monkeypatch):
        clocked = self.clock.as_datetime()
        monkeypatch.setattr("fashion.adapters.predictions.log.time", SimpleNamespace(time_ns=self.clock.time_ns))
        for module in ("log", "retention"):
            monkeypatch.setattr(f"fashion.adapters.predictions.{module}.datetime", clocked)

    def _params(self, name):
        return load_params(self.projects[name].params)

    @rule(
        name=project_names,
        hours=hours,
        chosen=st.lists(st.tuples(images, st.booleans(), number, number), min_size=3, max_size=8),
    )
    def predict_and_label(self, name, hours, chosen):
        """Some of them; whoever knows what others show says it later, or never."""
        self.clock.time += timedelta(hours=hours)
        ids = self._predict(name, [(image, asked) for image, asked, _, _ in chosen])
        for one, (_, _, which, turn) in zip(ids, chosen, strict=True):
            if which % 4:
                self._label(name, one, which, turn)

    def _predict(self, name, chosen):
        project, look = self.projects[name], self.clock.look
        records = [make_record(project, name, which, asked, look()) for which, asked in chosen]
        self.log.write(records)
        made = {record.id: Prediction(record.image.tobytes(), record.asked) for record in records}
        self.expected[name].arrive(made)
        return list(made)

    @precondition(lambda self: any(expected.predictions for expected in self.expected.values()))
    @rule(hours=hours, chosen=st.lists(st.tuples(number, number, number), min_size=1, max_size=6))
    def label_or_correct(self, hours, chosen):
        self.clock.time += timedelta(hours=hours)
        ids = sorted((one, name) for name, expected in self.expected.items() for one in expected.predictions)
        for place, which, turn in chosen:
            prediction, name = ids[place % len(ids)]
            self._label(name, prediction, which, turn)

    def _label(self, name, prediction, which, turn):
        """The champion that answers may still have its classes in another order, or one more."""
        classes = (*MODELS[name], GONE) if turn % 5 == 0 else MODELS[name]
        classes = classes[turn % len(classes) :] + classes[: turn % len(classes)]
        label = which // 4 % len(classes)
        expected, self.given = self.expected[name], self.given + 1
        image = expected.predictions[prediction].image
        given_by = CARELESS if image in expected.blank else SOURCES[turn % len(SOURCES)]
        self.log.add_label(prediction, label, given_by, classes[label])
        given = Label(self.given, prediction, image, classes[label], given_by, self.clock.time)
        expected.labels[prediction] = given

    @precondition(lambda self: self._unseen())
    @rule(place=number)
    def collect(self, place):
        name = self._unseen()[place % len(self._unseen())]
        project, params, expected = self.projects[name], self._params(name), self.expected[name]
        before, chosen = data_version(project), expected.collect()
        if chosen.refused and not chosen.batch:
            with pytest.raises(DataError, match=f"The labels given by {CARELESS} are left out"):
                collect(project, params)
        else:
            self._compare(name, collect(project, params), chosen)
        if not chosen.batch:
            assert data_version(project) == before
        self.left[name] = expected.wanted_names()

    def _unseen(self):
        """Projects with other labels than those that the last collection left."""
        return [name for name, expected in self.expected.items() if expected.wanted_names() != self.left[name]]

    def _compare(self, name, found, chosen):
        """What was collected, with what should have been."""
        expected = self.expected[name]
        blank = sum(label.image in expected.blank for label in chosen.batch)
        assert (found.batch is not None, found.in_quarantine) == (bool(chosen.batch), blank)
        assert [CARELESS in reason for reason in found.left_out].count(True) == bool(chosen.refused)
        if found.batch is None:
            return
        batch = read_batches(self.projects[name], self._params(name).data)[found.batch]
        names = [MODELS[name][label] for label in batch.labels]
        learned = {image.tobytes(): label for image, label in zip(batch.images, names, strict=True)}
        assert learned == {label.image: label.name for label in chosen.batch}
        assert len(batch.labels) == len(chosen.batch)
        self.states[name].append((commit(self.projects[name].root, NOW), expected.data))

    @precondition(lambda self: any(expected.refused for expected in self.expected.values()))
    @rule()
    def change_the_rules(self):
        """So that what was refused is tried again."""
        for name, project in self.projects.items():
            suite = project.expectations / "batch.json"
            suite.write_text(suite.read_text() + "\n")
            self.expected[name].refused.clear()

    @precondition(lambda self: any(len(states) > 1 for states in self.states.values()))
    @rule(place=number)
    def go_to_other_data(self, place):
        """As they were at any time: before a batch, or after it once more."""
        states = [(name, *state) for name, states in self.states.items() for state in states]
        name, commit_id, data = states[place % len(states)]
        project = self.projects[name]
        git(project.root, "checkout", "--quiet", commit_id, "--", "data.dvc")
        with Repo(str(project.root)) as repository:
            repository.checkout(targets=[str(project.root / "data.dvc")], force=True)
        self.expected[name].data = data

    @precondition(lambda self: self._untrained())
    @rule(place=number, by_dvc=st.booleans())
    def train(self, place, by_dvc):
        """As far as data are concerned: the stages that read them, and the digest that `train` writes down."""
        name = self._untrained()[place % len(self._untrained())]
        project, params = self.projects[name], self._params(name)
        validate(project, params)
        prepared = prepare(project, params)
        if by_dvc:
            # DVC names the stages of a repository by where it is asked from.
            with chdir(project.root), Repo(str(project.root)) as repository:
                for stage in ("validate", "prepare"):
                    repository.commit(stage, force=True)
        project.model.mkdir(parents=True, exist_ok=True)
        write_json(project.model / "training.json", {"dataset_sha256": folder_digest(project.dataset)})
        divided = self.expected[name].divide(GROUPS, partial(is_held_out, project))
        assert read_divided(project, self.expected[name].published) == divided
        assert (prepared.survey, prepared.collected) == (self.expected[name].data.survey, len(divided[0]))
        self.trained[name] = self.expected[name].data
        self.candidates[name] = Candidate(by_dvc, data_version(project), prepared.files)

    def _untrained(self):
        """Projects whose data hold something that the last training did not learn."""
        return [name for name, expected in self.expected.items() if expected.data is not self.trained[name]]

    @precondition(lambda self: self.candidates)
    @rule(place=number)
    def register(self, place):
        """What `register` writes down beside a version: the data that it was made of, whatever stands there by now."""
        name = sorted(self.candidates)[place % len(self.candidates)]
        project, candidate = self.projects[name], self.candidates.pop(name)
        try:
            pin = find_data(project, self._params(name))
        except ArtifactError:
            assert not candidate.by_dvc
            assert data_version(project) != candidate.data
            return
        assert pin.md5 == candidate.data
        self.versions.append((name, pin, candidate.files))

    @precondition(lambda self: any(expected.predictions for expected in self.expected.values()))
    @rule(days=st.sampled_from([0, 1, 90]), beyond=st.sampled_from([0, 3, 1000]))
    def remove_old_predictions(self, days, beyond):
        waiting = set().union(*(expected.waiting for expected in self.expected.values()))
        forget(self.log, self.clock.time - timedelta(days=days), beyond)
        remaining = self._ids()
        for expected in self.expected.values():
            assert not expected.forget(remaining) & waiting
        if not beyond:
            assert remaining == waiting

    def _ids(self):
        with sqlite3.connect(self.folder / "log.db") as connection:
            return {one for (one,) in connection.execute("SELECT id FROM predictions")}

    @invariant()
    def data_hold_every_image_once_by_the_label_that_counts(self):
        for name, project in self.projects.items():
            labels = read_labels(project, read_batches(project, self._params(name).data))
            counting = labels[labels["counts"]]
            assert counting["content_hash"].is_unique
            assert len(counting) == len(self.expected[name].data.held)

    def teardown(self):
        """Make every version's data again, from what it claims."""
        self.log.close()
        for place, (name, pin, files) in enumerate(self.versions):
            tree = Project(self.folder / f"version-{place}")
            pull(tree, self.projects[name], pin)
            assert digests(tree, self._params(name).data) == files
        shutil.rmtree(self.folder)


def test_no_label_is_lost_or_learned_twice_or_under_another_name(templates, fixed_salt, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.ERROR, "fashion")
    chosen = settings(
        max_examples=max(1, STEPS // STEPS_AT_ONCE),
        stateful_step_count=STEPS_AT_ONCE,
        derandomize="LABELS_STEPS" not in os.environ,
        database=None,
        deadline=None,
        phases=(Phase.generate,),  # A step takes a second: what failed is shown as it is.
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(lambda: Labels(templates, tmp_path, monkeypatch), settings=chosen)
