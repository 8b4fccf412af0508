"""`fashion simulate` against a service, one that breaks down and one that asks for labels."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from fashion.cli import app
from fashion.errors import ServiceError
from fashion.images.idx import write_idx, write_images
from fashion.images.synthetic import draw
from tests.projects import edit_params
from tests.servers import wait_until
from tests.services import CLASSES, make_service, running


class Failing(BaseHTTPRequestHandler):
    """Answers the first request, and refuses every other."""

    answered = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).answered += 1
        first = self.answered == 1
        prediction = {"predictions": [{"id": "1", "predicted": "Bag"}], "version": "7"}
        content = json.dumps(prediction if first else {"error": "the log is away"}).encode()
        self.send_response(200 if first else 503)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_failures_are_told_with_a_reason(small_project, address):
    arguments = [
        "simulate",
        "--images",
        "4",
        "--rate",
        "20",
        "--label-share",
        "0",
        "--corrections",
        "0",
        "--url",
        address,
    ]
    result = CliRunner().invoke(app, arguments, env={"FASHION_HOME": str(small_project.root)})
    assert result.exit_code == 1, result.output
    assert "1 answers" in result.output
    assert "3 failures" in result.output
    assert f"The last failure: {address}/predict answered 503: " in result.output
    assert "the log is away" in result.output


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://127.0.0.1:port", "no address"])
def test_an_address_that_is_none_is_refused_in_words(small_project, url):
    result = CliRunner().invoke(
        app, ["simulate", "--images", "1", "--url", url], env={"FASHION_HOME": str(small_project.root)}
    )
    assert isinstance(result.exception, ServiceError), result.exception
    assert str(result.exception) == f"{url} is not the address of a service: expected http://host:port"


@pytest.mark.parametrize(
    ("asked_share", "options", "labelled"),
    [
        (1.0, [], 40),
        (1.0, ["--label-share", "0"], 0),
        (0.0, ["--corrections", "1"], range(15, 38)),
        (0.0, ["--corrections", "0"], 0),
    ],
)
def test_people_answer_what_is_asked_and_correct_some_mistakes(small_project, tmp_path, asked_share, options, labelled):
    """The service's model knows bands, and the images show garments: most of its answers are mistakes."""
    service = replace(make_service(tmp_path), asked_share=asked_share)
    edit_params(small_project, {"data": {"classes": [*CLASSES, *(f"other {n}" for n in range(5))]}})
    with running(service) as address:
        images, labels = draw(40, len(CLASSES), (28, 28), seed=1)
        source = tmp_path / "images.gz", tmp_path / "labels.gz"
        for path, content in zip(source, (write_images(images), write_idx(labels)), strict=True):
            path.write_bytes(content)
        arguments = ["simulate", "--images", "40", "--rate", "200", "--url", address, *options, "--source", *source]
        result = CliRunner().invoke(app, [*map(str, arguments)], env={"FASHION_HOME": str(small_project.root)})
        assert result.exit_code == 0, result.output
        wait_until(lambda: not service.recorder.waiting)
        window = service.log.read_window()
        told = int((window.labels >= 0).sum())
        assert told in labelled if isinstance(labelled, range) else told == labelled
        if told and not asked_share:
            assert (window.labels != window.predicted)[window.labels >= 0].mean() > 0.9
