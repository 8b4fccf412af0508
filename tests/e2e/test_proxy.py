"""`fashion serve` behind a real nginx: with the lines of docs/serving.md, with as few as it takes, in compose.yaml."""

import re
import shutil
import ssl
import subprocess
from contextlib import contextmanager

import httpx
import pytest

from tests.compose import read_compose
from tests.projects import SOURCE
from tests.servers import PATIENCE_SECONDS, end, wait_until
from tests.services import IMAGES, make_service, running

PUBLIC = "https://fashion.example"
(DOCUMENTED,) = re.findall(r"```nginx\n(.*?)```", (SOURCE / "docs/serving.md").read_text(encoding="utf-8"), re.DOTALL)
FEW = "location / { proxy_pass http://127.0.0.1:8000; }"
CONTENT = {"images": IMAGES[:1].tolist()}


@contextmanager
def nginx(folder, port, server):
    """The address of a proxy with this block `server`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx here; install it with: apt-get install nginx")
    folder.mkdir()
    places = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
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


def proxy(folder, port, lines, service):
    """A proxy before the service, with these lines."""
    lines = lines.replace("http://127.0.0.1:8000", service)
    return nginx(folder / "nginx", port, f"server {{ listen 127.0.0.1:{port}; {lines} }}")


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
    with running(make_service(tmp_path)) as service, proxy(tmp_path, new_port(), lines, service) as address:
        assert ask(address).status_code == 403
        assert ask(service, Host="127.0.0.1").status_code == 200


@pytest.mark.parametrize("lines", [DOCUMENTED, FEW], ids=["documented", "few"])
def test_behind_nginx_the_page_is_answered_with_the_key(tmp_path, new_port, lines):
    made = make_service(tmp_path, key="secret", origin=PUBLIC)
    with running(made) as service, proxy(tmp_path, new_port(), lines, service) as address:
        assert ask(address, X_API_Key="secret", Origin=PUBLIC).status_code == 200
        assert ask(address, X_API_Key="wrong", Origin=PUBLIC).status_code == 401
        assert ask(address, X_API_Key="secret", Origin="https://evil.example").status_code == 403
        assert httpx.get(f"{address}/", timeout=PATIENCE_SECONDS).status_code == 200


def test_a_body_of_the_largest_size_passes_the_documented_lines(tmp_path, new_port):
    made = make_service(tmp_path, key="secret", origin=PUBLIC)
    with running(made) as service, proxy(tmp_path, new_port(), DOCUMENTED, service) as address:
        body = b"x" * made.limits.body.bytes
        headers = {"X-API-Key": "secret", "Content-Type": "application/json"}
        answer = httpx.post(f"{address}/predict", content=body, headers=headers, timeout=PATIENCE_SECONDS)
        assert (answer.status_code, "not valid JSON" in answer.json()["error"]) == (422, True)


def test_the_proxy_of_compose_ends_tls_and_lets_nobody_past_without_a_key(tmp_path, new_port):
    certificate, key, port = tmp_path / "certificate", tmp_path / "key", new_port()
    made_for = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *made_for], check=True, capture_output=True)
    block = read_compose()["configs"]["proxy"]["content"]
    here = {"8443": f"127.0.0.1:{port}", "/run/secrets/certificate": certificate, "/run/secrets/key": key}
    with running(make_service(tmp_path, key="secret", origin=PUBLIC)) as service:
        for word, place in (here | {"http://service:8000": service}).items():
            assert f" {word};" in block or f" {word} " in block, word
            block = re.sub(rf" {word}(?=[ ;])", f" {place}", block)
        with nginx(tmp_path / "nginx", port, block):
            trusted = ssl.create_default_context(cafile=certificate)
            with httpx.Client(verify=trusted, headers={"Host": "fashion.example", "Origin": PUBLIC}) as client:
                address = f"https://127.0.0.1:{port}/predict"
                asked = [
                    client.post(address, json=CONTENT, headers={"X-API-Key": name}) for name in ("secret", "wrong")
                ]
    assert [answer.status_code for answer in asked] == [200, 401]
