"""Services of this machine, asked by somebody whose environment names a proxy."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from fashion.adapters import orchestration, tracking
from fashion.environment import apply_environment
from fashion.errors import ServiceError
from flows.services import server
from flows.services import worker as services

ALL = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    """A service that is well."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as service:
        threading.Thread(target=service.serve_forever).start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()


@pytest.fixture
def proxy(new_port, monkeypatch):
    """The address of a proxy that nobody answers at; no variable of a proxy is set."""
    for name in ALL:
        monkeypatch.setenv(name, "")  # So that what the test sets is taken back.
        monkeypatch.delenv(name)
    return f"127.0.0.1:{new_port()}"


@pytest.mark.parametrize("others", [{}, {"NO_PROXY": "example.org"}, {"no_proxy": "example.org, example.com"}])
@pytest.mark.parametrize(("variable", "scheme"), [("HTTP_PROXY", "http"), ("all_proxy", "socks5")])
def test_services_of_this_machine_are_asked_directly(project, address, proxy, variable, scheme, others, monkeypatch):
    for name, value in ({variable: f"{scheme}://{proxy}"} | others).items():
        monkeypatch.setenv(name, value)
    apply_environment(project)
    assert server.answers(f"{address}/api")
    assert services._is_well(address)
    tracking.check(address)
    with pytest.raises(ServiceError, match="No run that waits"):
        orchestration.find_paused_run(f"{address}/api", "2")
    monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
    with pytest.raises(ServiceError, match="hears from no worker of the pool fashion; what the worker printed"):
        services.check(project)


def test_hosts_that_a_user_keeps_from_the_proxy_stay_kept_from_it(project, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}")
    monkeypatch.setenv("NO_PROXY", "example.org")
    apply_environment(project)
    assert requests.utils.should_bypass_proxies("http://example.org/", None)
    assert not requests.utils.should_bypass_proxies("http://example.com/", None)

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    apply_environment(project)
    assert requests.utils.should_bypass_proxies("http://example.com/", None)
