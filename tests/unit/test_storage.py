"""Files and folders that are whole or not there, also after a power cut; and old ones that make room."""

import os

from fashion.storage import atomic_file, atomic_folder, keep_newest, move_folder


def write_some(folder):
    (folder / "deep").mkdir()
    (folder / "one").write_text("1")
    (folder / "deep" / "two").write_text("2")


def test_what_gets_its_name_is_on_the_disk_before_and_its_name_afterwards(tmp_path, power_cut):
    with atomic_file(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    for _ in range(2):
        with atomic_folder(tmp_path / "folder") as temporary:
            write_some(temporary)
    (tmp_path / "made").mkdir()
    write_some(tmp_path / "made")
    move_folder(tmp_path / "made", tmp_path / "moved")
    assert {"file", "folder", "moved"} <= set(power_cut.lost)
    assert not any(power_cut.lost.values())
    assert tmp_path in power_cut.flushed


def test_what_is_not_on_the_disk_yet_is_found_by_the_fixture(tmp_path, power_cut):
    (tmp_path / "made").mkdir()
    write_some(tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / "moved")
    assert power_cut.lost["moved"] == {"made", "one", "deep", "two"}


def test_the_newest_folders_are_kept_and_what_is_still_being_written_is_no_folder_yet(tmp_path):
    for number, name in enumerate(["c", "a", "d", "b", ".1.temporary"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "file").touch()
    keep_newest(tmp_path.iterdir(), 2)
    assert {path.name for path in tmp_path.iterdir()} == {"d", "b", ".1.temporary", "file"}
