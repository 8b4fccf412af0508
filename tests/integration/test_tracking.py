"""The MLflow adapter against a real database and a real server."""

import json
import os
import shutil
import signal
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mlflow import MlflowClient
from sqlalchemy import event
from sqlalchemy.orm import Session
from urllib3.exceptions import InsecureRequestWarning

from fashion.adapters import tracking
from fashion.adapters.tracking import Registry, address
from fashion.errors import ServiceError
from tests.servers import PATIENCE_SECONDS, end


@pytest.fixture
def registry(registry_template, tmp_path):
    shutil.copy(registry_template / "mlflow.db", tmp_path)
    return Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", "garments")


def test_a_server_that_is_not_there_is_asked_once():
    callers = []

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self):
            callers.append(self.client_address)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(ServiceError, match=f"No MLflow server answers at {address}"):
            tracking.check(address)
        server.shutdown()
    assert len(callers) == 1


@contextmanager
def guarded(authorization, certificate=None):
    """The address of a server that is well, and says so to those who give this header alone."""

    class Guard(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path == "/health" and self.headers.get("Authorization") == authorization
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """The test's output is no place for it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def own_certificate(path):
    """A certificate of 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.mark.parametrize(
    ("authorization", "variables"),
    [
        (f"Basic {b64encode(b'me:secret').decode()}", {"USERNAME": "me", "PASSWORD": "secret"}),
        ("Bearer secret", {"TOKEN": "secret"}),
    ],
)
def test_a_server_is_asked_with_the_credentials_that_mlflow_has(monkeypatch, authorization, variables):
    with guarded(authorization) as address:
        with pytest.raises(ServiceError, match=r"/health answered 401\. Set MLFLOW_TRACKING_USERNAME and .*_TOKEN"):
            tracking.check(address)
        for name, value in variables.items():
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        tracking.check(address)


def test_a_server_is_asked_with_the_certificate_that_mlflow_has(monkeypatch, tmp_path):
    certificate = own_certificate(tmp_path / "server.pem")
    with guarded(None, certificate) as address:
        with pytest.raises(ServiceError, match=r"is not trusted .*CERTIFICATE_VERIFY_FAILED.*_SERVER_CERT_PATH"):
            tracking.check(address)
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
            tracking.check(address)
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
        with pytest.warns(InsecureRequestWarning):
            tracking.check(address)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("these bytes are no database " * 100)
    with pytest.raises(ServiceError, match=r"mlflow\.db cannot be used"):
        tracking.check(f"sqlite:///{tmp_path}/mlflow.db")


LIST = """
import sys
from pathlib import Path
from fashion.adapters.tracking import Registry, list_versions
folder = Path(sys.argv[1])
print("imported", flush=True)
sys.stdin.readline()
print(list_versions(Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts", "garments")))
"""


def test_processes_that_meet_a_new_database_at_once_all_find_it_whole(tmp_path):
    command, pipes = [sys.executable, "-c", LIST, str(tmp_path)], dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "imported\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes] == ["()\n", "()\n"]


def registry_of(root):
    return Registry(f"sqlite:///{root}/.state/mlflow.db", root / ".state" / "mlflow", "garments")


def new_registry(root, template):
    shutil.copytree(template, root / ".state")
    return registry_of(root)


def log_words(registry):
    """A run with an artifact; its id."""
    with tracking.live_run(registry, "a run", {}, {"of": registry.artifacts.as_uri()}):
        pass
    run_id = tracking.find_run(registry, "of", registry.artifacts.as_uri())
    MlflowClient(registry.uri).log_text(run_id, "words", "words.txt")
    return run_id


def place_of(registry, run_id):
    return MlflowClient(registry.uri).get_run(run_id).info.artifact_uri


def test_the_registry_of_a_moved_or_copied_project_follows_it(registry_template, tmp_path):
    first = new_registry(tmp_path / "first", registry_template)
    run_id = log_words(first)
    shutil.copytree(tmp_path / "first", tmp_path / "a copy")
    copied = registry_of(tmp_path / "a copy")
    assert log_words(copied) != run_id
    assert len(list(copied.artifacts.rglob("words.txt"))) == 2
    assert len(list(first.artifacts.rglob("words.txt"))) == 1
    (tmp_path / "first").rename(tmp_path / "moved")
    moved = registry_of(tmp_path / "moved")
    assert tracking.find_run(moved, "of", first.artifacts.as_uri()) == run_id
    for one in (moved, copied):
        assert place_of(one, run_id) == f"{one.artifacts.as_uri()}/{run_id}/artifacts"


def test_a_registry_without_an_artifact_follows_too_and_keeps_out_of_its_old_place(registry_template, tmp_path):
    first = new_registry(tmp_path / "first", registry_template)
    with tracking.live_run(first, "killed before it had any", {}, {}):
        pass
    (tmp_path / "first").rename(tmp_path / "moved")
    log_words(registry_of(tmp_path / "moved"))
    assert not (tmp_path / "first").exists()


def test_artifacts_of_another_project_that_shares_the_database_stay_where_they_are(registry_template, tmp_path):
    first = new_registry(tmp_path / "first", registry_template)
    guest = Registry(first.uri, tmp_path / "guest" / ".state" / "mlflow", "garments")
    run_id = log_words(guest)
    before = place_of(guest, run_id)
    address._open_database.cache_clear()
    log_words(first)
    assert place_of(guest, run_id) == before


def test_a_run_keeps_its_curves_tags_and_end(registry):
    with tracking.live_run(registry, "first", {"seed": 1}, {"colour": "red"}) as run:
        run.log_metrics({"loss": 0.5}, step=1)
        run.log_metrics({"loss": 0.25}, step=2)
        run.set_tags({"model_sha256": "abc"})
    run_id = tracking.find_run(registry, "model_sha256", "abc")
    found = MlflowClient(registry.uri).get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"seed": "1"}
    assert found.data.tags["colour"] == "red"
    assert [metric.value for metric in MlflowClient(registry.uri).get_metric_history(run_id, "epochs/loss")] == [
        0.5,
        0.25,
    ]
    assert found.info.artifact_uri.startswith(registry.artifacts.as_uri())


def test_the_experiment_says_what_it_is_and_keeps_what_a_person_wrote(registry):
    with tracking.live_run(registry, "first", {}, {}):
        pass
    client = MlflowClient(registry.uri)
    experiment = client.get_experiment_by_name("fashion")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "One run for each training" in experiment.tags["mlflow.note.content"]
    view = json.loads(experiment.tags["mlflow.sharedViewState.fashion-accuracy"])
    assert json.loads(view["state"])["selectedColumns"][0] == "metrics.`test/accuracy`"
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "Ours.")
    with tracking.live_run(registry, "second", {}, {}):
        pass
    assert client.get_experiment(experiment.experiment_id).tags["mlflow.note.content"] == "Ours."


def test_a_deleted_experiment_says_how_to_bring_it_back(registry):
    with tracking.live_run(registry, "before", {"seed": 1}, {}) as run:
        pass
    client = MlflowClient(registry.uri)
    number = client.get_run(run.run_id).info.experiment_id
    client.delete_experiment(number)
    advice = f"fashion was deleted in .*: mlflow experiments restore --experiment-id {number}"
    with pytest.raises(ServiceError, match=advice), tracking.live_run(registry, "after", {}, {}):
        pytest.fail("a run in a deleted experiment")
    with pytest.raises(ServiceError, match=advice):
        tracking.find_run(registry, "model_sha256", "0a")
    client.restore_experiment(number)
    with tracking.live_run(registry, "after", {}, {}):
        pass


def test_a_run_says_which_prefect_run_made_it_once_and_without_the_address_of_a_server_that_ended(registry):
    with tracking.live_run(registry, "first", {}, {}) as first, tracking.live_run(registry, "second", {}, {}) as second:
        pass
    lasting = tracking.FlowRun("why [not] <b>", "1-2", "http://prefect.example/runs/flow-run/1-2")
    page = tracking.link_flow_run(registry, first.run_id, lasting)
    assert page.startswith("#/experiments/")
    assert f"/runs/{first.run_id}?" in page
    for later in (lasting, tracking.FlowRun("later", "3-4", None)):
        assert tracking.link_flow_run(registry, first.run_id, later) == page
    tracking.link_flow_run(registry, second.run_id, tracking.FlowRun("brief", "5-6", None))
    client = MlflowClient(registry.uri)
    tags, brief = (client.get_run(run.run_id).data.tags for run in (first, second))
    assert (tags["prefect_flow_run"], tags["prefect_flow_run_address"]) == (lasting.name, lasting.address)
    assert tags["mlflow.note.content"] == f"Prefect run: [why \\[not\\] \\<b\\>]({lasting.address})."
    assert brief["mlflow.note.content"] == "Prefect run: brief (5-6)."
    assert "prefect_flow_run_address" not in brief


def test_a_stopped_run_goes_on_and_gets_the_steps_that_it_lacks_but_none_twice(registry):
    curve = {step: {"loss": 1 / step, "accuracy": 0.5} for step in (1, 2, 3)}
    with pytest.raises(KeyboardInterrupt), tracking.live_run(registry, "stopped", {"seed": 1}, {}) as run:
        run.log_metrics(curve[2], step=2)
        raise KeyboardInterrupt
    client = MlflowClient(registry.uri)
    assert client.get_run(run.run_id).info.status == "KILLED"
    with tracking.live_run(registry, "stopped", {"seed": 1}, {}, stopped=run.run_id) as again:
        assert client.get_run(run.run_id).info.status == "RUNNING"
        again.log_missing("loss", curve)
    assert again.run_id == run.run_id
    assert client.get_run(run.run_id).info.status == "FINISHED"
    for name in ("epochs/loss", "epochs/accuracy"):
        assert sorted(point.step for point in client.get_metric_history(run.run_id, name)) == [1, 2, 3]


def test_where_the_stopped_run_is_gone_a_new_one_begins(registry):
    with tracking.live_run(registry, "stopped", {"seed": 1}, {}) as deleted:
        pass
    client = MlflowClient(registry.uri)
    client.delete_run(deleted.run_id)
    for stopped in (deleted.run_id, "0" * 32):
        with tracking.live_run(registry, "another", {"seed": 1}, {}, stopped=stopped) as new:
            pass
        assert new.run_id != stopped
        assert client.get_run(new.run_id).data.params == {"seed": "1"}


def test_a_run_whose_training_fails_is_marked_failed(registry):
    with pytest.raises(ZeroDivisionError), tracking.live_run(registry, "broken", {}, {}) as run:
        run.set_tags({"which": "this"})
        raise ZeroDivisionError
    found = tracking.find_run(registry, "which", "this")
    assert MlflowClient(registry.uri).get_run(found).info.status == "FAILED"


def test_a_run_that_is_asked_to_end_in_the_middle_of_writing_is_marked_killed(registry):
    """Torn out of its transaction, the database would stay locked for the word that the run was killed."""

    def ask_to_end(_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # Python runs the handler here, with the transaction open.

    def stop(number, _):
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemExit, match="143"), tracking.live_run(registry, "stopped", {}, {}) as run:
            run.set_tags({"which": "this"})
            event.listen(Session, "before_commit", ask_to_end)
            run.log_metrics({"loss": 0.5}, step=1)
            pytest.fail("the signal was lost")
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        event.remove(Session, "before_commit", ask_to_end)
        signal.signal(signal.SIGTERM, before)
    found = MlflowClient(registry.uri).get_run(tracking.find_run(registry, "which", "this"))
    assert found.info.status == "KILLED"
    assert found.data.metrics == {"epochs/loss": 0.5}


def test_an_alias_that_nobody_set_points_to_nothing(registry):
    assert tracking.version_with_alias(registry, "champion") is None
    assert tracking.find_version(registry, "digest", "0") is None


def test_what_is_fetched_from_a_server_leaves_nothing_in_the_temporary_folder(mlflow_server, tmp_path, monkeypatch):
    temporary, fetched = tmp_path / "temporary", tmp_path / "fetched"
    temporary.mkdir()
    fetched.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    registry = Registry(mlflow_server[0], tmp_path / "artifacts", "garments")
    with tracking.live_run(registry, "a run", {}, {}) as run:
        client = MlflowClient(registry.uri)
        for path, text in {
            "judgement/judgement.md": "words",
            "model/MLmodel": "flavors: {}",
            "model/extra_files/classes.json": '{"classes": ["a", "b"], "image_size": [28, 28]}',
            "model/extra_files/model.tflite": "a model",
        }.items():
            client.log_text(run.run_id, text, path)
    client.create_registered_model(registry.name)
    client.create_model_version(registry.name, f"{client.get_run(run.run_id).info.artifact_uri}/model", run.run_id)
    version = tracking.get_version(registry, "1")
    assert tracking.fetch_folder(registry, version, "judgement", fetched)
    assert tracking.keep_version(registry, version, fetched).classes == ("a", "b")
    assert (fetched / "judgement.md").read_text() == "words"
    assert list(temporary.iterdir()) == []


def test_training_goes_on_when_the_server_dies_and_says_so_once(mlflow_server, tmp_path, caplog):
    address, process = mlflow_server
    finished = []
    with tracking.live_run(Registry(address, tmp_path, "garments"), "cut off", {"seed": 1}, {}) as run:
        run.log_metrics({"loss": 0.5}, step=1)
        end(process)
        run.log_metrics({"loss": 0.4, "accuracy": 0.9}, step=2)
        run.set_tags({"model_sha256": "abc"})
        finished.append(True)
    assert finished
    assert sum("goes on without its live curves" in record.message for record in caplog.records) == 1
