"""What the locked packages are, and which of them are known to be vulnerable: the real tools, offline."""

import http.server
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.contract.test_documents import read_lock
from tests.projects import SOURCE


def test_the_bill_names_every_locked_package_with_its_version_hashes_and_licence(tmp_path):
    subprocess.run([sys.executable, SOURCE / ".ci" / "bill.py", tmp_path / "bill.json"], check=True)
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(canonicalize_name(part["name"]), Version(part["version"])): part for part in bill["components"]}
    locked = read_lock("requirements.lock")
    assert listed.keys() == locked.keys()
    for package, hashes in locked.items():
        written = {f"--hash=sha256:{one['content']}" for one in hashes_of(listed[package])}
        assert written == hashes, package
    licences = declared()
    assert len(licences.keys() & locked.keys()) > 50
    for package in licences.keys() & locked.keys():
        assert {"expression": licences[package]} in said(listed[package]), package


def hashes_of(component):
    return [one for reference in component.get("externalReferences", []) for one in reference.get("hashes", [])]


def said(component):
    return [{key: value for key, value in one.items() if key == "expression"} for one in component.get("licenses", [])]


def declared():
    """The licence of each installed package that states it as an expression of SPDX's."""
    found = {}
    for one in importlib.metadata.distributions():
        if expression := one.metadata.get("License-Expression"):
            found[canonicalize_name(one.metadata["Name"]), Version(one.version)] = expression
    return found


@pytest.fixture
def vulnerabilities():
    spec = importlib.util.spec_from_file_location("vulnerabilities", SOURCE / ".ci" / "vulnerabilities.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def database(known):
    """A server that answers as OSV does, of which only these packages are vulnerable; the options that choose it."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = canonicalize_name(asked["package"]["name"])
            found = {"vulns": [describe(name)]} if f"{name}=={asked['version']}" in known else {}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *arguments):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ("--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query")
        server.shutdown()


def describe(name):
    package = {"name": name, "ecosystem": "PyPI"}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
    affected = [{"package": package, "ranges": ranges}]
    return {
        "id": "CVE-1",
        "aliases": [],
        "summary": "bad",
        "details": "bad",
        "published": "2026-01-01T00:00:00Z",
        "affected": affected,
    }


def a_locked_package():
    return next(f"{name}=={version}" for name, version in read_lock("requirements.lock") if name == "numpy")


@pytest.mark.parametrize("more", [[], ["numpy"]])
def test_known_vulnerabilities_of_locked_packages_are_told(vulnerabilities, monkeypatch, capsys, more):
    vulnerable = [a_locked_package()] if more else []
    with database([vulnerabilities.FAMOUS, *vulnerable]) as options:
        monkeypatch.setattr(vulnerabilities, "SOURCES", {"a database": options})
        assert vulnerabilities.main() == (1 if vulnerable else 0)
    said = capsys.readouterr().out
    assert f"packages looked up, {len(vulnerable)} with known vulnerabilities" in said
    assert "NOT LOOKED UP" not in said
    for package in vulnerable:
        assert f"{package.replace('==', ' ')}: CVE-1; mended in 99.0" in said


def test_a_source_that_does_not_answer_or_has_no_data_is_not_taken_for_good_news(vulnerabilities, monkeypatch, capsys):
    nobody = ("--vulnerability-service", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    with database([a_locked_package()]) as no_data:
        monkeypatch.setattr(vulnerabilities, "SOURCES", {"nobody": nobody, "a mirror": no_data})
        assert vulnerabilities.main() == 3
    said = capsys.readouterr().out
    assert "NOT LOOKED UP" in said
    assert "packages looked up" not in said
    assert all(f"{name} does not answer, or has no data" in said for name in ("nobody", "a mirror"))
