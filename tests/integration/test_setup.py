"""Cloning, the environment of `make`, and activating it."""

import subprocess


def test_a_clone_that_asks_git_for_windows_line_ends_has_the_same_bytes(project, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "-c", "core.autocrlf=true", project.root, clone], check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=clone, check=True, capture_output=True, text=True).stdout
    assert {name: (clone / name).read_bytes() for name in listed.splitlines()} == {
        name: (project.root / name).read_bytes() for name in listed.splitlines()
    }
