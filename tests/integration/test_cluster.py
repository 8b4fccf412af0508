"""FASHION_EXECUTOR: real schedulers and workers of Dask on loopback; workers that are killed, and those refused."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from time import sleep

import numpy as np
import pandas as pd
import pytest
from distributed import SchedulerPlugin
from PIL import Image

from fashion.adapters.cluster import cluster, connect
from fashion.adapters.shards import Stored
from fashion.adapters.studies import COMPLETE
from fashion.batch.answer import Wanted, answer, answer_with
from fashion.errors import ParamsError, ServiceError, SetupError, TrainingError
from fashion.experiments.learning_curve import measuring
from fashion.experiments.learning_curve.subject import choose_subject
from fashion.experiments.remote import FOLDER, train_remotely
from fashion.experiments.search import Budget, Watch
from fashion.experiments.trial import Job, StoppedError
from fashion.experiments.tune import tune
from fashion.images.encoding import encode_png
from fashion.images.photos import Form
from fashion.params import PicturesParams, load_params, recipe_with
from fashion.stages import workers
from fashion.stages.pictures import WORTHWHILE, see_stored
from tests.cluster import running_cluster
from tests.integration.test_tuning import edit
from tests.litert_models import band_images
from tests.servers import PATIENCE_SECONDS, reserved_port, wait_until
from tests.services import CLASSES, SIZE, make_champion

IMAGES = band_images(200, SIZE, len(CLASSES))
QUIET = Watch(lambda *_: None, lambda _: None)


@pytest.fixture(scope="module")
def one_cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def dask(one_cluster):
    """Two workers; one that an earlier test has killed is started again."""
    for name in ("first", "second"):
        one_cluster.start_worker(name)
    one_cluster.wait(2)
    return one_cluster


@pytest.fixture
def asked(dask, monkeypatch):
    """The cluster, asked by the setting."""
    monkeypatch.setenv("FASHION_EXECUTOR", dask.address)
    return dask


def open_cluster(address, read=(), written=()):
    with cluster(address, read, written) as found:
        return found.places


def test_a_scheduler_that_is_away_and_one_without_workers_are_said_before_work_starts(tmp_path, monkeypatch, project):
    (tmp_path / "shop").mkdir()
    monkeypatch.setattr("fashion.adapters.cluster.PATIENCE_SECONDS", 1)
    with reserved_port() as port:
        address = f"tcp://127.0.0.1:{port}"
        with pytest.raises(
            ServiceError, match=rf"No scheduler of Dask answers at {address} .*without FASHION_EXECUTOR"
        ):
            open_cluster(address)
        monkeypatch.setenv("FASHION_EXECUTOR", address)
        with pytest.raises(ServiceError, match="No scheduler"):
            answer(project, load_params(project.params), Wanted(tmp_path / "shop", tmp_path / "new"), print)
        assert not (tmp_path / "new").exists()
    monkeypatch.setattr("fashion.adapters.cluster.PATIENCE_SECONDS", 600)
    with running_cluster(tmp_path) as alone, pytest.raises(ServiceError) as told:
        open_cluster(alone.address)
    assert f"has no worker. Start some: dask worker {alone.address} --nthreads 1" in str(told.value)


def test_a_worker_of_another_version_or_with_other_folders_is_refused_by_name(dask, tmp_path):
    (tmp_path / "fashion-9.9.9.dist-info").mkdir()
    (tmp_path / "fashion-9.9.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: fashion\nVersion: 9.9.9\n"
    )
    assert open_cluster(dask.address, [tmp_path], [tmp_path / "new" / "answers"]) == 2
    assert not list(tmp_path.glob(".fashion-probe-*"))
    with pytest.raises(ServiceError, match=rf"The worker tcp://\S+ does not see {tmp_path}/gone as this process does"):
        open_cluster(dask.address, [tmp_path, tmp_path / "gone"])
    dask.start_worker("old", {"PYTHONPATH": str(tmp_path)})
    dask.wait(3)
    try:
        with pytest.raises(ServiceError, match=r"worker tcp://\S+ has version 9\.9\.9 of fashion, and this process \d"):
            open_cluster(dask.address)
    finally:
        dask.workers.pop("old").kill()
    wait_until(lambda: number_of_workers(dask) == 2)


def number_of_workers(dask):
    with connect(dask.address, PATIENCE_SECONDS) as client:
        return len(client.scheduler_info()["workers"])


def test_without_dask_or_with_a_log_in_one_file_the_setting_is_refused(tmp_path, monkeypatch, project):
    monkeypatch.setenv("FASHION_EXECUTOR", "tcp://127.0.0.1:1")
    (tmp_path / "shop").mkdir()
    params = load_params(project.params)
    wanted = Wanted(tmp_path / "shop", tmp_path / "new", log="sqlite:///log.db")
    with pytest.raises(ParamsError, match="cannot all write into one SQLite file.*FASHION_PREDICTIONS_URL=postgresql:"):
        answer(project, params, wanted, print)
    monkeypatch.delitem(sys.modules, "fashion.adapters.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SetupError, match="Dask is not installed here.*requirements-dev.lock distributed"):
        answer(project, params, replace(wanted, log=None), print)


def test_answers_are_those_of_this_machine_while_a_worker_is_killed(asked, tmp_path):
    found, source = make_champion(tmp_path / "champion", "1"), tmp_path / "shop"
    source.mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image[..., 0]).save(source / f"{number:03d}.png")

    def kill_one(pictures, _):
        if pictures:
            asked.workers["first"].kill()

    with workers.workers([source], [tmp_path]) as wide:
        answered = answer_with(found, "bands", Wanted(source, tmp_path / "wide", 4), wide.executor, kill_one)
    assert asked.workers["first"].wait() == -signal.SIGKILL
    with ThreadPoolExecutor(1) as alone:
        expected = answer_with(found, "bands", Wanted(source, tmp_path / "alone", 4), alone, lambda *_: None)
    assert answered.tally == expected.tally
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "wide"), pd.read_parquet(tmp_path / "alone"))


def test_pictures_are_decoded_by_workers_as_here(asked, monkeypatch):
    parts = [[Stored(f"{number}", encode_png(image))] for number, image in enumerate(IMAGES[:WORTHWHILE])]
    form = Form(SIZE, PicturesParams())
    monkeypatch.setattr(workers, "processes", None)
    np.testing.assert_array_equal(np.concatenate(list(see_stored(parts, form))), IMAGES[:WORTHWHILE])


def test_a_training_whose_worker_is_killed_begins_anew_and_is_that_of_fashion_train(dask, trained_project):
    params = load_params(trained_project.params)
    job = Job(trained_project.root, params.train.chosen, len(params.data.classes), params.train.seed)
    epochs, killed = [], []

    def on_epoch(progress):
        epochs.append(progress.epoch)
        if progress.epoch == 2:
            killed.extend(dask.busy())
            dask.workers[killed[0]].kill()
        return False

    with cluster(dask.address, [], []) as found:
        outcome = train_remotely(found, job, on_epoch, Event())
        training = json.loads((trained_project.model / "training.json").read_text())
        assert outcome.accuracy == training["validation_accuracy"]
        assert epochs == list(range(1, len(epochs) + 1)), "each is told once"
        assert len(killed) == 1
        with pytest.raises(StoppedError):
            train_remotely(found, job, lambda _: True, Event())
        exploding = {"optimizer": "sgd", "learning_rate": 1000.0, "l2": 1000.0}
        with pytest.raises(TrainingError, match="loss is not finite"):
            train_remotely(found, replace(job, recipe=recipe_with(job.recipe, exploding)), lambda _: False, Event())
        over = Event()
        over.set()
        with pytest.raises(KeyboardInterrupt):
            train_remotely(found, job, lambda _: False, over)
    assert not list((trained_project.state / FOLDER).iterdir())


def test_a_search_and_a_learning_curve_train_side_by_side_and_find_what_they_find_here(asked, trained_project):
    rate = load_params(trained_project.params).train.chosen.learning_rate
    params = edit(trained_project, rate, [rate, rate / 2])
    found = tune(trained_project, params, "study", Budget(trials=3), QUIET)
    assert [trial.state for trial in found.trials] == [COMPLETE] * 3
    training = json.loads((trained_project.model / "training.json").read_text())
    assert found.trials[0].accuracy == training["validation_accuracy"], "the recipe in use is tried first"
    assert len(found.finalists) == 1
    again = tune(trained_project, params, "study", Budget(trials=3), QUIET)
    assert again.finalists == found.finalists, "nothing is trained twice"

    subject = choose_subject(trained_project, params, None, [60, 540], 2)
    told = []
    watch = measuring.Watch(lambda *_: None, lambda size, seed, _: told.append((size, seed)))
    curve = measuring.measure(trained_project, subject, watch)
    assert sorted(told) == sorted(subject.trainings)
    assert curve.points[1].accuracies[0] == training["validation_accuracy"]


def test_whoever_leaves_takes_the_work_back_and_lets_the_workers_be(dask):
    with pytest.raises(KeyboardInterrupt), cluster(dask.address, [], []) as found:
        futures = [found.submit(sleep, 0.5) for _ in range(100)]
        assert found.submit(os.getppid).cancel()
        raise KeyboardInterrupt
    assert all(future.done() for future in futures)
    wait_until(lambda: not dask.busy())
    assert number_of_workers(dask) == 2


def test_who_comes_while_another_takes_work_back_is_let_in(dask):
    class Cancelling(SchedulerPlugin):  # Here, so that it is sent whole: the scheduler has not our tests.
        """The next client hears with its welcome what another one cancels."""

        name = "cancelling"
        heard = False

        def add_client(self, scheduler, client):
            if not self.heard:
                self.heard = True
                scheduler.loop.add_callback(scheduler.report, {"op": "cancelled-keys", "keys": []})

    with connect(dask.address, PATIENCE_SECONDS) as client:
        client.register_plugin(Cancelling())
    assert open_cluster(dask.address) == 2
    with connect(dask.address, PATIENCE_SECONDS) as client:
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["cancelling"].heard)
        client.unregister_scheduler_plugin("cancelling")


def test_an_encrypted_address_without_certificates_says_where_they_are_named():
    with pytest.raises(ServiceError, match=r"tls://127.0.0.1:9 \(FASHION_EXECUTOR\) cannot be asked .*\.state/dask"):
        connect("tls://127.0.0.1:9", 5)


def test_a_scheduler_that_goes_away_is_said(tmp_path):
    with running_cluster(tmp_path) as alone:
        alone.start_worker("only")
        alone.wait(1)
        with (
            pytest.raises(ServiceError, match="The scheduler of Dask went away"),
            cluster(alone.address, [], []) as found,
        ):
            future = found.submit(sleep, 600)
            wait_until(alone.busy)
            alone.scheduler.kill()
            future.result(timeout=600)
