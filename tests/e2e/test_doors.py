"""Who can reach what `make up` and `fashion serve` start: pages of other sites, in a browser of the same machine.

In that browser every name under .test is this machine, so that a page of evil.test is another site's, and a page of
evil.test at a service's own port is one whose name was bound to this machine after it was loaded (DNS rebinding).
"""

import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import psutil
import pytest
from playwright.sync_api import expect

from fashion.adapters import orchestration
from fashion.errors import ServiceError
from fashion.paths import Project
from fashion.settings import headers_for_prefect
from flows.services.pool import without_command
from flows.services.processes import POOL
from tests.browser import chromium
from tests.conftest import authentication, copy_prefect, copy_template, use_environment
from tests.servers import PATIENCE_SECONDS, reserved_port, wait_until
from tests.services import IMAGES, make_service, running

ASK = """async ([address, method, content]) => {
  try {
    const headers = content ? { "Content-Type": "application/json" } : {};
    const answer = await fetch(address, { method, headers, body: content });
    return `${answer.status}`;
  } catch {
    return "blocked";
  }
}"""
SEND_UNASKED = """async ([address, content]) => {
  await fetch(address, { method: "POST", mode: "no-cors", body: new Blob([content]) }).catch(() => null);
}"""
"""Without a content type no browser asks the server first, and Prefect takes the body for JSON."""
OPEN_SOCKET = """(address) => new Promise((resolve) => {
  const socket = new WebSocket(address);
  socket.onopen = () => resolve("open");
  socket.onerror = () => resolve("refused");
})"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser():
    with chromium("--host-resolver-rules=MAP *.test 127.0.0.1") as browser:
        yield browser


@pytest.fixture(scope="module")
def evil(browser):
    """A page of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        page = browser.new_page()
        page.goto(f"http://evil.test:{server.server_port}")
        yield page
        page.close()
        server.shutdown()


class Host:
    """The services of a project: the process of `make up`, and the addresses."""

    def __init__(self, project, ports, process):
        self.project, self.process = project, process
        self.prefect, self.mlflow = (f"http://127.0.0.1:{port}" for port in ports)


@pytest.fixture(scope="module")
def host(bare_template, prefect_template, registry_template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    with pytest.MonkeyPatch.context() as patch, reserved_port() as prefect, reserved_port() as mlflow:
        project = copy_template(bare_template, folder / "project", patch)
        copy_prefect(prefect_template, project)
        (project.state / "mlflow.db").write_bytes((registry_template / "mlflow.db").read_bytes())
        patch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{prefect}/api")
        patch.setenv("FASHION_MLFLOW_PORT", str(mlflow))
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "flows.services", "up"]
            process = subprocess.Popen(command, cwd=project.root, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: process.poll() is not None or "Worker 'fashion' started" in (folder / "log").read_text())
            assert process.poll() is None, (folder / "log").read_text()
            yield Host(project, (prefect, mlflow), process)
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            try:
                process.wait(timeout=PATIENCE_SECONDS)
            finally:
                for left in psutil.wait_procs(family, timeout=5)[1]:
                    left.kill()


@pytest.fixture
def services(host, monkeypatch):
    use_environment(host.project, monkeypatch)
    monkeypatch.setenv("PREFECT_API_URL", f"{host.prefect}/api")
    return host


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(make_service(tmp_path_factory.mktemp("service"))) as address:
        yield address


def ask(page, address, method="GET", content=None):
    """The status, or that the browser did not let the page have the answer."""
    return page.evaluate(ASK, [address, method, json.dumps(content) if content is not None else None])


def pools():
    address = f"{os.environ['PREFECT_API_URL']}/work_pools/filter"
    found = httpx.post(address, json={}, headers=headers_for_prefect(), timeout=PATIENCE_SECONDS)
    return [pool["name"] for pool in found.json()]


def profile(project):
    return project.state / "prefect" / "profiles.toml"


def test_a_page_of_another_site_reaches_nothing_of_prefect(services, evil):
    api = f"{services.prefect}/api"
    assert ask(evil, f"{api}/admin/version") == "blocked"
    assert ask(evil, f"{api}/work_pools/filter", "POST", {}) == "blocked"
    pool = {"name": "evil", "type": "process"}
    assert ask(evil, f"{api}/work_pools/", "POST", pool) == "blocked"
    evil.evaluate(SEND_UNASKED, [f"{api}/work_pools/", json.dumps(pool)])
    assert pools() == [POOL]
    for socket in ("events/in", "events/out", "logs/out"):
        assert evil.evaluate(OPEN_SOCKET, f"{api}/{socket}".replace("http:", "ws:")) == "refused"


@pytest.mark.parametrize(
    ("name", "path", "content"),
    [
        ("prefect", "/api/work_pools/filter", {}),
        ("mlflow", "/api/2.0/mlflow/experiments/search", {"max_results": 1}),
        ("service", "/predict", {"images": IMAGES[:1].tolist()}),
    ],
)
def test_a_page_whose_name_is_bound_to_this_machine_later_reaches_nothing(
    services, service, browser, name, path, content
):
    """The name begins like a private address: MLflow takes every such one unless it is told which."""
    address = {"prefect": services.prefect, "mlflow": services.mlflow, "service": service}[name]
    page = browser.new_page()
    page.goto(f"{address.replace('127.0.0.1', '10.evil.test')}/")
    assert ask(page, path, "POST", content) in ("401", "403")
    page.close()


def test_a_page_of_another_site_changes_nothing_in_mlflow_and_reads_nothing(services, evil):
    api = f"{services.mlflow}/api/2.0/mlflow"
    assert ask(evil, f"{api}/experiments/search?max_results=9") == "blocked"
    assert ask(evil, f"{api}/experiments/create", "POST", {"name": "evil"}) == "blocked"
    evil.evaluate(SEND_UNASKED, [f"{api}/experiments/create", json.dumps({"name": "evil"})])
    found = httpx.get(f"{api}/experiments/search?max_results=9", timeout=PATIENCE_SECONDS).json()
    assert [one["name"] for one in found["experiments"]] == ["Default"]


def test_a_page_of_another_site_gets_nothing_from_the_service_and_tells_it_nothing(service, evil):
    assert ask(evil, f"{service}/model") == "blocked"
    assert ask(evil, f"{service}/predict", "POST", {"images": IMAGES[:1].tolist()}) == "blocked"
    evil.evaluate(SEND_UNASKED, [f"{service}/model/refresh", ""])
    figures = httpx.get(f"{service}/metrics", timeout=PATIENCE_SECONDS).text
    assert 'path="/predict",status="200"' not in figures
    assert 'path="/model/refresh",status="200"' not in figures


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_prefects_own_page_asks_for_the_string_once(services, browser, name):
    context = browser.new_context()
    page = context.new_page()
    page.goto(services.prefect.replace("127.0.0.1", name))
    password = page.locator("input[type=password]")
    password.fill(authentication(services.project))
    page.keyboard.press("Enter")
    expect(password).to_have_count(0)
    page.goto(f"{services.prefect.replace('127.0.0.1', name)}/work-pools")
    expect(page.get_by_text(POOL).first).to_be_visible()
    context.close()


def test_the_string_can_be_read_by_its_owner_alone_and_says_who_may_ask(services):
    assert stat.S_IMODE(profile(services.project).stat().st_mode) == 0o600
    api = os.environ["PREFECT_API_URL"]
    assert httpx.post(f"{api}/flow_runs/filter", json={}, timeout=PATIENCE_SECONDS).status_code == 401
    assert pools() == [POOL]
    with pytest.raises(ServiceError, match="No run that waits"):
        orchestration.find_paused_run(api, "1")


def test_commands_typed_in_a_shell_are_known_and_those_of_another_project_are_told_what_to_set(
    services, tmp_path, monkeypatch
):
    command = [sys.executable, "-m", "prefect", "work-pool", "ls"]
    typed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (typed.returncode, POOL in typed.stdout) == (0, True), typed.stderr
    api, string = os.environ["PREFECT_API_URL"], authentication(services.project)
    use_environment(Project(tmp_path), monkeypatch)
    with pytest.raises(ServiceError, match="Set PREFECT_API_AUTH_STRING"):
        orchestration.find_paused_run(api, "1")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", string)
    with pytest.raises(ServiceError, match="No run that waits"):
        orchestration.find_paused_run(api, "1")


def test_a_run_cannot_say_which_program_the_worker_starts(services):
    address = f"{os.environ['PREFECT_API_URL']}/work_pools/{POOL}"
    template = httpx.get(address, headers=headers_for_prefect(), timeout=PATIENCE_SECONDS).json()["base_job_template"]
    assert without_command(template) == template


def test_other_users_see_no_address_of_a_database_among_the_processes(services):
    family = psutil.Process(services.process.pid).children(recursive=True)
    lines = [" ".join(process.cmdline()) for process in family]
    assert any("mlflow" in line for line in lines)
    assert not any("mlflow.db" in line for line in lines)
