"""`fashion simulate` against a service that breaks down."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from fashion.cli import app
from fashion.errors import ServiceError


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
    arguments = ["simulate", "--images", "4", "--rate", "20", "--label-share", "0", "--url", address]
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
