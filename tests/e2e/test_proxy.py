"""`fashion serve` behind a real nginx: with the lines of docs/serving.md, and with as few lines as nginx takes."""

import re
import shutil
import subprocess
from contextlib import contextmanager

import httpx
import pytest

from tests.projects import SOURCE
from tests.servers import PATIENCE_SECONDS, end, wait_until
from tests.services import IMAGES, make_service, running

PUBLIC = "https://fashion.example"
(DOCUMENTED,) = re.findall(r"```nginx\n(.*?)```", (SOURCE / "docs/serving.md").read_text(encoding="utf-8"), re.DOTALL)
FEW = "location / { proxy_pass http://127.0.0.1:8000; }"
CONTENT = {"images": IMAGES[:1].tolist()}


@contextmanager
def nginx(folder, port, lines, service):
    """The address of a proxy before the service."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx here; install it with: apt-get install nginx")
    folder.mkdir()
    places = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = f"server {{ listen 127.0.0.1:{port}; {lines.replace('http://127.0.0.1:8000', service)} }}"
    settings = f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}"
    (folder / "conf").write_text(f"{settings} http {{ access_log off; {places} {server} }}")
    command = [program, "-p", str(folder), "-e", str(folder / "log"), "-c", str(folder / "conf")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}"))
        assert process.poll() is None, process.stderr.read()
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)
        process.stderr.close()


def answers(address):
    try:
        httpx.get(address, timeout=PATIENCE_SECONDS)
    except httpx.TransportError:
        return False
    return True


def ask(address, **headers):
    """As the page of the public address, or a program elsewhere, does."""
    headers = {"Host": "fashion.example"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{address}/predict", json=CONTENT, headers=headers, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("lines", [DOCUMENTED, FEW], ids=["documented", "few"])
def test_behind_nginx_nobody_is_answered_without_a_key(tmp_path, new_port, lines):
    with running(make_service(tmp_path)) as service, nginx(tmp_path / "nginx", new_port(), lines, service) as address:
        assert ask(address).status_code == 403
        assert ask(service, Host="127.0.0.1").status_code == 200


@pytest.mark.parametrize("lines", [DOCUMENTED, FEW], ids=["documented", "few"])
def test_behind_nginx_the_page_is_answered_with_the_key(tmp_path, new_port, lines):
    made = make_service(tmp_path, key="secret", origin=PUBLIC)
    with running(made) as service, nginx(tmp_path / "nginx", new_port(), lines, service) as address:
        assert ask(address, X_API_Key="secret", Origin=PUBLIC).status_code == 200
        assert ask(address, X_API_Key="wrong", Origin=PUBLIC).status_code == 401
        assert ask(address, X_API_Key="secret", Origin="https://evil.example").status_code == 403
        assert httpx.get(f"{address}/", timeout=PATIENCE_SECONDS).status_code == 200


def test_a_body_of_the_largest_size_passes_the_documented_lines(tmp_path, new_port):
    made = make_service(tmp_path, key="secret", origin=PUBLIC)
    with running(made) as service, nginx(tmp_path / "nginx", new_port(), DOCUMENTED, service) as address:
        body = b"x" * made.limits.body.bytes
        headers = {"X-API-Key": "secret", "Content-Type": "application/json"}
        answer = httpx.post(f"{address}/predict", content=body, headers=headers, timeout=PATIENCE_SECONDS)
        assert (answer.status_code, "not valid JSON" in answer.json()["error"]) == (422, True)
