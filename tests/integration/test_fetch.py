import errno
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.adapters import download as download_module
from fashion.adapters.versioning.pinning import pin
from fashion.cli import app
from fashion.doctor.finding import NOTE, WELL
from fashion.doctor.services import check_data
from fashion.errors import DataError, DiskError
from fashion.images.idx import write_idx
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.fetch import Drawing, draw_data, fetch
from fashion.stages.raw import read_raw
from fashion.stages.restoring import SYNTHETIC
from fashion.storage import file_digest
from tests.advice import follow
from tests.projects import edit_params


@pytest.fixture
def source(tmp_path):
    """A folder with the four files, 20,000 bytes each."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def params(project, source):
    """params.yaml asking for the files in `source`."""
    sections = {}
    random = np.random.default_rng()
    for key, name in NAMES.items():
        shape = (25, 28, 28) if "images" in key else (25,)
        content = write_idx(random.integers(0, 256, shape, np.uint8))
        (source / name).write_bytes(content.ljust(20_000, b"\0"))  # Zeros after the end of a gzip file are padding.
        sections[key] = {"name": name, "sha256": file_digest(source / name)}
    return edit_params(project, {"data": {**sections, "sources": [str(source)]}})


NAMES = {key: f"{key}.gz" for key in ("train_images", "train_labels", "test_images", "test_labels")}


def fetch_from(monkeypatch, project, params, *sources, **options):
    monkeypatch.setenv("FASHION_DATA_SOURCES", ",".join(str(source) for source in sources))
    return fetch(project, params, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def dvc(project, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True).stdout.strip()


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, ranges included; `faults` are met once each, in order, before it serves as it should."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.faults: list[str] = []
        self.ranges: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/fashion"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        fault = self.server.faults.pop(0) if self.server.faults else ""
        self.server.ranges.append(self.headers["Range"])
        path = self.server.folder / self.path.removeprefix("/fashion/")
        if fault == "unavailable" or not path.exists():
            self.send_error(503 if fault else 404)
            return
        content = path.read_bytes()
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if self.headers["Range"] else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        if fault == "no ranges":
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Encoding", "gzip")  # As some servers do for files whose names end in .gz.
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start : start + 9000 if fault == "breaks off" else None])

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server(source, monkeypatch):
    monkeypatch.setattr(download_module, "PAUSE_SECONDS", 0.01)
    with Server(source) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# Folders


def test_files_come_from_a_folder_and_are_pinned(project, params, source):
    fetched = fetch(project, params)
    assert contents(project.data) == contents(source)
    assert fetched.origins == dict.fromkeys(NAMES.values(), str(source))
    assert (fetched.bytes, fetched.synthetic, fetched.pin_changed) == (80_000, False, True)
    assert dvc(project, "status", "data.dvc") == "Data and pipelines are up to date."
    assert (project.root / ".gitignore").read_text().count("data") == 1


def test_a_relative_folder_counts_from_the_project(project, params, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert fetch_from(monkeypatch, project, params, "../source").bytes == 80_000


def test_files_that_are_there_are_not_fetched_again(project, params, source):
    fetch(project, params)
    times = {path: path.stat().st_mtime_ns for path in project.data.iterdir()}
    shutil.rmtree(source)
    again = fetch(project, params)
    assert set(again.origins.values()) == {"already there"}
    assert not again.pin_changed
    assert {path: path.stat().st_mtime_ns for path in project.data.iterdir()} == times


def test_only_missing_files_are_fetched(project, params, source):
    fetch(project, params)
    (project.data / "test_labels.gz").unlink()
    origins = fetch(project, params).origins
    assert origins.pop("test_labels.gz") == str(source)
    assert set(origins.values()) == {"already there"}


@pytest.mark.advice("fashion fetch --force", "stages/fetch.py", "stages/raw.py", "stages/restoring.py")
def test_a_file_with_other_content_is_not_replaced_unless_forced(project, params):
    fetch(project, params)
    path = project.data / "train_labels.gz"
    mine = write_idx(np.zeros(25, np.uint8))
    path.write_bytes(mine)
    found, expected = file_digest(path), params.data.train_labels.sha256
    with pytest.raises(
        DataError, match=f"train_labels.gz .*expected SHA-256 {expected}, found {found}.*fashion fetch --force"
    ) as told:
        fetch(project, params)
    assert path.read_bytes() == mine
    with pytest.raises(DataError, match=f"expected SHA-256 {expected}, found {found}") as read:
        read_raw(project, params.data)
    follow(project, told.value, "fashion fetch --force")
    assert file_digest(path) == expected
    path.write_bytes(mine)
    follow(project, read.value, "fashion fetch --force")
    assert file_digest(path) == expected


def test_a_source_with_a_wrong_file_is_passed_over(project, params, source, monkeypatch, tmp_path):
    wrong = shutil.copytree(source, tmp_path / "wrong")
    (wrong / "test_images.gz").write_bytes(b"other")
    origins = fetch_from(monkeypatch, project, params, wrong, source).origins
    assert origins["train_images.gz"] == str(wrong)
    assert origins["test_images.gz"] == str(source)
    assert contents(project.data) == contents(source)


def test_if_nothing_can_be_reached_every_source_is_named_with_its_reason(
    project, params, source, monkeypatch, tmp_path, new_port
):
    wrong = shutil.copytree(source, tmp_path / "wrong")
    (wrong / "train_images.gz").write_bytes(b"other")
    closed = f"http://127.0.0.1:{new_port()}"
    with pytest.raises(DataError) as caught:
        fetch_from(monkeypatch, project, params, "dvc", "/nowhere", wrong, closed, "ftp://some.where")
    message = str(caught.value)
    assert "No source has train_images.gz, train_labels.gz, test_images.gz, test_labels.gz:" in message
    assert "  dvc: there is no data.dvc" in message
    assert "  /nowhere: /nowhere/train_images.gz: No such file or directory" in message
    assert f"  {wrong}: {wrong}/train_images.gz is the wrong file (5 bytes): expected SHA-256" in message
    assert f"  {closed}: {closed}/train_images.gz: " in message
    assert "Connection refused" in message
    assert "  ftp://some.where: " in message
    assert "FASHION_DATA_SOURCES" in message
    assert message.count("make run DATA=synthetic") == 1
    assert "fetch --synthetic" not in message
    assert not list(project.data.iterdir())


def test_a_full_disk_is_told_in_words_and_leaves_no_half_file(project, params, monkeypatch):
    def no_space(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", no_space)
    with pytest.raises(DiskError, match="The disk is full.*Free some space"):
        fetch(project, params)
    assert not list(project.data.iterdir())


@pytest.mark.advice("fashion fetch", "stages/fetch.py")
def test_a_symbolic_link_in_the_place_of_data_is_refused(project, params, source):
    project.data.symlink_to(source)
    with pytest.raises(DataError, match="symbolic link") as told:
        fetch(project, params)
    assert project.data.is_symlink()
    project.data.unlink()
    assert_brought(project, source, told.value, f"FASHION_DATA_SOURCES={source} fashion fetch")


@pytest.mark.advice("fashion fetch", "stages/fetch.py")
def test_a_file_in_the_place_of_data_is_refused(project, params, source):
    project.data.write_text("mine")
    with pytest.raises(DataError) as told:
        fetch(project, params)
    assert project.data.read_text() == "mine"
    project.data.unlink()
    assert_brought(project, source, told.value, "fashion fetch")


@pytest.mark.advice("fashion fetch", "doctor/services.py", "stages/restoring.py")
def test_files_that_are_missing_are_brought(project, params, source):
    fetch(project, params)
    (project.data / "train_images.gz").unlink()
    with pytest.raises(DataError) as told:
        read_raw(project, params.data)
    found = check_data(project)
    assert found.verdict == NOTE
    assert_brought(project, source, f"{told.value}\n{found}", "fashion fetch")
    assert check_data(project).verdict == WELL


def assert_brought(project, source, words, command):
    assert str(words).count(command) == str(words).count("fashion fetch")
    follow(project, words, command)
    assert contents(project.data) == contents(source)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((25, 224, 224, 3), r"expected the magic number 0x00000803 .*, found 0x00000804"),
        ((25, 16, 16), r"expected images of 28 x 28 .*, found 16 x 16"),
        ((24, 28, 28), "has 24 images but data/train_labels.gz has 25 labels"),
    ],
)
def test_files_of_a_kind_that_is_not_supported_are_refused_before_they_are_pinned(
    project, params, source, shape, complaint
):
    fetch(project, params)
    pinned = (project.root / "data.dvc").read_bytes()
    other = source / "train_images.gz"
    other.write_bytes(write_idx(np.zeros(shape, np.uint8)))
    params = edit_params(project, {"data": {"train_images": {"sha256": file_digest(other)}}})
    for _ in range(2):
        with pytest.raises(DataError, match=rf"{complaint}.*its format is not supported: expected gzipped IDX"):
            fetch(project, params, force=True)
        assert (project.root / "data.dvc").read_bytes() == pinned
    with pytest.raises(DataError) as error:
        read_raw(project, params.data)
    assert "fashion fetch" not in str(error.value)


# Addresses


def test_files_come_from_an_address_with_progress(project, params, source, server, monkeypatch):
    seen = []
    fetched = fetch_from(monkeypatch, project, params, server.address, progress=lambda *event: seen.append(event))
    assert contents(project.data) == contents(source)
    assert fetched.origins == dict.fromkeys(NAMES.values(), server.address)
    assert ("train_images.gz", 20_000, 20_000) in seen
    assert not list((project.state / "downloads").iterdir())


def test_a_connection_that_breaks_is_resumed_where_it_broke(project, params, source, server, monkeypatch):
    server.faults = ["breaks off", "unavailable"]
    fetch_from(monkeypatch, project, params, server.address)
    assert server.ranges[:3] == [None, "bytes=9000-", "bytes=9000-"]
    assert contents(project.data) == contents(source)


def test_what_was_received_before_giving_up_is_kept_for_the_next_call(project, params, source, server, monkeypatch):
    server.faults = ["breaks off"] + ["unavailable"] * 2
    with pytest.raises(DataError, match="503"):
        fetch_from(monkeypatch, project, params, server.address)
    assert not project.data.exists()
    server.ranges.clear()
    fetch_from(monkeypatch, project, params, server.address)
    assert server.ranges[0] == "bytes=9000-"
    assert contents(project.data) == contents(source)


@pytest.mark.parametrize("size", [9_000, 20_000, 30_000])
def test_a_beginning_from_another_file_is_thrown_away(project, params, source, server, monkeypatch, size):
    part = project.state / "downloads" / f"{params.data.train_images.sha256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(size))
    fetch_from(monkeypatch, project, params, server.address)
    assert contents(project.data) == contents(source)


def test_a_server_without_ranges_sends_the_file_again(project, params, source, server, monkeypatch):
    server.faults = ["breaks off", "no ranges"]
    fetch_from(monkeypatch, project, params, server.address)
    assert contents(project.data) == contents(source)


def test_a_page_that_says_not_found_is_not_taken_for_the_file(project, params, source, server, monkeypatch):
    (source / "train_labels.gz").unlink()
    with pytest.raises(DataError, match=f"{server.address}/train_labels.gz: 404 Not Found"):
        fetch_from(monkeypatch, project, params, server.address)
    (source / "train_labels.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"train_labels.gz is the wrong file \(22 bytes\): expected SHA-256"):
        fetch_from(monkeypatch, project, params, server.address)
    assert [path.name for path in project.data.iterdir()] == ["train_images.gz"]


# The DVC remote


@pytest.fixture
def remote(project, params, source, tmp_path):
    """A default remote that holds the data which data.dvc pins; data/ and the cache are gone."""
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "store"))
    fetch(project, params)
    dvc(project, "push", "--quiet")
    shutil.rmtree(project.data)
    shutil.rmtree(project.root / ".dvc" / "cache")
    return tmp_path / "store"


def test_files_come_from_the_default_dvc_remote(project, params, remote, source, monkeypatch):
    fetched = fetch_from(monkeypatch, project, params, "dvc")
    assert set(fetched.origins.values()) == {"dvc"}
    assert not fetched.pin_changed
    assert contents(project.data) == contents(source)
    assert dvc(project, "status", "data.dvc") == "Data and pipelines are up to date."


def test_a_remote_that_is_gone_is_passed_over(project, params, remote, source, monkeypatch):
    shutil.rmtree(remote)
    with pytest.raises(DataError, match="dvc: not available from the remote 'store'"):
        fetch_from(monkeypatch, project, params, "dvc")
    assert set(fetch_from(monkeypatch, project, params, "dvc", source).origins.values()) == {str(source)}


def test_without_a_remote_the_reason_says_so(project, params, remote, monkeypatch):
    dvc(project, "remote", "remove", "store")
    with pytest.raises(DataError, match="no default DVC remote is configured"):
        fetch_from(monkeypatch, project, params, "dvc")


def test_a_file_of_the_users_own_in_data_is_not_lost_to_dvc(project, params, remote, monkeypatch, source):
    project.data.mkdir()
    (project.data / "batch").write_text("mine")
    fetch_from(monkeypatch, project, params, "dvc", source)
    assert (project.data / "batch").read_text() == "mine"


def test_half_written_files_are_not_pinned(project, params):
    fetch(project, params)
    (project.data / ".x.train_images.gz").write_text("half")
    assert not pin(project)


# Drawn data


def test_drawn_data_are_marked_pinned_and_readable(project):
    params = load_params(project.params)
    fetched = draw_data(project, params, Drawing(images=40, test_images=20, seed=3))
    assert (fetched.synthetic, fetched.pin_changed) == (True, True)
    assert set(fetched.origins.values()) == {"drawn"}
    assert "not real data: 40 training and 20 test images" in (project.data / SYNTHETIC).read_text()
    raw = read_raw(project, params.data)
    assert (len(raw["train"].images), len(raw["test"].images)) == (40, 20)
    assert dvc(project, "status", "data.dvc") == "Data and pipelines are up to date."


def test_the_same_drawing_gives_the_same_files(project):
    params = load_params(project.params)
    draw_data(project, params, Drawing(40, 20, 3))
    first = contents(project.data)
    assert not draw_data(project, params, Drawing(40, 20, 3)).pin_changed
    assert contents(project.data) == first
    draw_data(project, params, Drawing(40, 20, 4))
    assert contents(project.data) != first


@pytest.mark.advice("fashion fetch --synthetic --force", "stages/fetch.py")
def test_drawn_data_do_not_replace_real_data_unless_forced(project, params):
    fetch(project, params)
    before = contents(project.data)
    with pytest.raises(
        DataError, match=r"contains files that were not drawn .*fashion fetch --synthetic --force"
    ) as told:
        draw_data(project, params, Drawing(40, 20))
    assert contents(project.data) == before
    follow(project, told.value, "fashion fetch --synthetic --force", "--images 40 --test-images 20")
    assert (project.data / SYNTHETIC).exists()


def test_real_data_replace_drawn_data_and_the_mark_goes(project, params, source):
    draw_data(project, params, Drawing(40, 20))
    assert not fetch(project, params).synthetic
    assert contents(project.data) == contents(source)


def test_a_fetch_that_fails_half_way_keeps_the_mark(project, params, source):
    draw_data(project, params, Drawing(40, 20))
    (source / "test_labels.gz").unlink()
    with pytest.raises(DataError):
        fetch(project, params)
    assert (project.data / SYNTHETIC).exists()


@pytest.mark.parametrize("option", ["--images", "--test-images", "--seed"])
def test_an_option_of_drawn_data_without_synthetic_is_refused(project, params, monkeypatch, option):
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    result = CliRunner().invoke(app, ["fetch", option, "6000"])
    assert (result.exit_code, "--synthetic" in result.output) == (2, True), result.output


def test_fewer_images_than_classes_are_refused(project):
    with pytest.raises(DataError, match=r"at least one image of each of the 10 classes .*found 40 training and 9 test"):
        draw_data(project, load_params(project.params), Drawing(40, 9))
    assert not project.data.exists()


def test_the_real_dataset_is_brought_and_pinned(project, real_data, monkeypatch):
    fetched = fetch_from(monkeypatch, project, load_params(project.params), real_data)
    assert set(fetched.origins.values()) == {str(real_data)}
    committed = Project(Path(__file__).resolve().parents[2]).root / "data.dvc"
    assert (project.root / "data.dvc").read_text() == committed.read_text()
