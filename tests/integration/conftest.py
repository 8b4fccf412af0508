"""The prediction log on SQLite and on PostgreSQL, for every module that tests it on both; and who hears of a run."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.logs import KINDS, empty_log
from tests.servers import postgresql


@pytest.fixture(scope="module")
def postgresql_server():
    """The address of a PostgreSQL of the module's own."""
    with postgresql() as (address, _):
        yield address


@pytest.fixture(params=KINDS)
def log(request, tmp_path):
    with empty_log(request.param, tmp_path, lambda: request.getfixturevalue("postgresql_server")) as log:
        yield log


@pytest.fixture
def heard(monkeypatch):
    """What a webhook is told, as a list of titles and texts."""
    told = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((content["title"], content["text"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FASHION_NOTIFY", f"http://127.0.0.1:{server.server_port}/hook")
    yield told
    server.shutdown()
    server.server_close()
