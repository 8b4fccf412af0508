"""What writers that were killed have left is removed; what others write at this moment is not, wherever they run."""

import os
import subprocess
import sys
import time

import pytest

from fashion.leftovers import OLDEST_SECONDS, place, temporary_name
from fashion.storage import atomic_file, atomic_folder, write_text

WRITE = """
import sys
from pathlib import Path
from fashion.storage import write_text
write_text(Path(sys.argv[1]), "theirs")
"""


def dead_process():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def leave(folder, name, hours=0.0):
    """What a writer has left under a name, so long ago; a file or a folder."""
    left = folder / name
    left.mkdir()
    (left / "part").touch()
    then = time.time() - hours * 3600
    os.utime(left, (then, then))
    return left


def test_what_a_killed_process_has_left_here_is_removed_by_the_next_writer(tmp_path):
    left = leave(tmp_path, f".{place()}-{dead_process()}.0123abcd.file")
    write_text(tmp_path / "file", "whole")
    assert not left.exists()


@pytest.mark.parametrize("maker", ["0123456789ab-{}", "{}"], ids=["of another host", "of earlier code"])
def test_what_was_made_nobody_knows_where_is_removed_once_it_is_too_old_to_be_written_still(tmp_path, maker):
    name = f".{maker.format(dead_process())}.0123abcd.file"
    left = leave(tmp_path, name, hours=OLDEST_SECONDS / 3600 - 1)
    write_text(tmp_path / "file", "whole")
    assert left.exists()
    then = time.time() - OLDEST_SECONDS - 3600
    os.utime(left, (then, then))
    write_text(tmp_path / "file", "whole")
    assert not left.exists()


def test_what_this_process_writes_and_what_is_no_temporary_file_stays(tmp_path):
    names = [temporary_name(tmp_path / "file").name, ".2020.old.file", ".a-b.0123abcd.file"]
    others = [leave(tmp_path, name, hours=48 * (number > 0)) for number, name in enumerate(names)]
    write_text(tmp_path / "file", "whole")
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "one").touch()
    assert all(other.exists() for other in others)


def test_a_leftover_that_another_writer_removes_at_the_same_time_is_no_error(tmp_path, monkeypatch):
    left = leave(tmp_path, f".{place()}-{dead_process()}.0123abcd.file")
    monkeypatch.setattr("fashion.leftovers._is_alive", lambda process: bool(remove(left)))
    write_text(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"


def remove(folder):
    (folder / "part").unlink()
    folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces of processes need root")
def test_a_container_does_not_take_what_another_one_writes_for_what_was_left(tmp_path):
    """There nobody has the number of this process."""
    with atomic_file(tmp_path / "file") as ours:
        ours.write_text("ours")
        command = ["unshare", "--pid", "--fork", sys.executable, "-c", WRITE, str(tmp_path / "file")]
        subprocess.run(command, check=True)
        assert (tmp_path / "file").read_text() == "theirs"
    assert (tmp_path / "file").read_text() == "ours"


def test_what_another_user_writes_stays_also_where_his_processes_are_hidden(tmp_path, monkeypatch):
    """Of a process of another user, a mount of /proc with hidepid=2 shows nothing; a signal is refused."""

    def refuse(process, number):
        raise PermissionError

    left = leave(tmp_path, f".{place()}-{dead_process()}.0123abcd.file")
    monkeypatch.setattr("os.kill", refuse)
    write_text(tmp_path / "file", "whole")
    assert left.exists()
