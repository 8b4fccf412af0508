"""The client of the service, where the service does not do what it should."""

import asyncio
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from fashion.adapters.client import Service
from fashion.errors import ServiceError


@pytest.fixture
def hanging_up():
    """The address of a service that takes a connection and closes it without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with listener.accept()[0] as connection:
                connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@contextmanager
def answering(status, body, location):
    """The address of another program, which answers one request like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join()


def ask(address):
    async def predict():
        async with Service(address, None, 1) as service:
            await service.predict(np.zeros((8, 8, 1), np.uint8))

    asyncio.run(predict())


def test_a_service_that_hangs_up_is_not_called_away(hanging_up):
    with pytest.raises(ServiceError, match=r"/predict: no answer to a request \(\w.*\)\. Where the machine") as told:
        ask(hanging_up)
    assert "start it" not in str(told.value)


def test_where_nothing_listens_the_command_is_named():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Bound, and not listening: nobody else gets this port.
        with pytest.raises(ServiceError, match=r"No service answers .*; start it with: fashion serve"):
            ask(f"http://127.0.0.1:{nobody.getsockname()[1]}")


@pytest.mark.parametrize(
    ("status", "body", "location", "said"),
    [
        (301, b"", "https://else.example/predict", "301, a redirect to https://else.example/predict"),
        (304, b"", None, "304"),
        (200, b"<html>Log in</html>", None, "no answer of fashion serve"),
        (200, b"{}", None, "no answer of fashion serve"),
        (200, b"[]", None, "no answer of fashion serve"),
        (200, b'{"version": "1", "predictions": [1]}', None, "no answer of fashion serve"),
        (200, b"\xff", None, "no answer of fashion serve"),
    ],
)
def test_what_another_program_answers_is_one_clear_error(status, body, location, said):
    with answering(status, body, location) as address, pytest.raises(ServiceError) as told:
        ask(address)
    assert str(told.value).startswith(f"{address}/predict")
    assert said in str(told.value)
