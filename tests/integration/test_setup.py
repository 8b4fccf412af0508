"""Cloning, the environment that `make` sets up, and activating it. uv is a stand-in that keeps a log."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import dotenv
import pytest

from fashion.defaults import FILES, read_defaults
from tests.projects import SOURCE

PARTS = (
    ".env",
    "Makefile",
    "activate.sh",
    "benchmarks",
    "defaults.env",
    "pyproject.toml",
    "setup.sh",
    "slim.sh",
    "src",
)
DEFAULTS = "src/fashion/defaults.py"
UV = """import pathlib, sys
def main():
    with pathlib.Path(sys.prefix, "uv.log").open("a") as log:
        print(*sys.argv[1:], file=log)
    return int(pathlib.Path(sys.prefix, "interrupted").exists())
"""
OTHERS_SETTINGS = {
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PIP_NO_INDEX": "1",
    "UV_SYSTEM_PYTHON": "1",
    "PYTHONPATH": "/elsewhere",
}
SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here"))
    for name in ("bash", "zsh", "dash")
]


def test_a_clone_that_asks_git_for_windows_line_ends_has_the_same_bytes(project, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "-c", "core.autocrlf=true", project.root, clone], check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=clone, check=True, capture_output=True, text=True).stdout
    assert {name: (clone / name).read_bytes() for name in listed.splitlines()} == {
        name: (project.root / name).read_bytes() for name in listed.splitlines()
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The stand-in for uv, in a package index of its own."""
    path = tmp_path_factory.mktemp("index") / "uv" / "uv-0.0.1-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stand_in.py", UV)
        archive.writestr("uv-0.0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 0.0.1\n")
        archive.writestr("uv-0.0.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("uv-0.0.1.dist-info/entry_points.txt", "[console_scripts]\nuv = stand_in:main\n")
        archive.writestr("uv-0.0.1.dist-info/RECORD", "")
    (path.parent / "index.html").write_text(f"<a href='{path.name}'>{path.name}</a>", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(wheel, tmp_path_factory):
    """A folder that was set up among settings for other environments. Copy it; never change it."""
    folder = make_folder(tmp_path_factory.mktemp("made") / "project's", sha256(wheel.read_bytes()).hexdigest())
    result = make(folder, "setup", wheel, **OTHERS_SETTINGS)
    assert result.returncode == 0, result.stderr
    (folder / ".venv" / "said.txt").write_text(result.stdout, encoding="utf-8")
    [packages] = folder.glob(".venv/lib/python*/site-packages")
    shutil.copytree(Path(dotenv.__file__).parent, packages / "dotenv")  # As uv would have done.
    return folder


def make_folder(folder, digest):
    folder.mkdir()
    for name in PARTS:
        if (SOURCE / name).is_file():
            shutil.copy(SOURCE / name, folder / name)
    for name in ("benchmarks/first_run.json", DEFAULTS):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(SOURCE / name, folder / name)
    first, uv = f"first==1 \\\n    --hash=sha256:{'0' * 64}\n", f"uv==0.0.1 \\\n    --hash=sha256:{digest}\n"
    lock = f"{first}{uv}    # via fashion\nzipp==1\n"
    for name in ("requirements.lock", "requirements-dev.lock"):
        (folder / name).write_text(lock, encoding="utf-8")
    return folder


def make(folder, target, wheel, *options, **variables):
    environment = os.environ | {"UV_DEFAULT_INDEX": wheel.parent.parent.as_uri()} | variables
    command = ["make", "--no-print-directory", target, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def asked(folder):
    """What uv was asked to install, in its order, since the environment was made."""
    return [line.split(" --")[0] for line in (folder / ".venv" / "uv.log").read_text().splitlines()]


def test_the_set_up_follows_no_setting_of_pip_and_of_other_environments(made):
    assert asked(made) == ["pip sync requirements.lock", "pip install"]
    noted = (made / ".venv" / ".installed").read_text().splitlines()
    assert noted[0] == f"folder {made}"
    assert noted[1].startswith("python 3.")


def test_before_anything_is_fetched_it_says_how_long_that_takes_within_a_quarter_of_what_was_measured(made):
    measured = json.loads((made / "benchmarks" / "first_run.json").read_text())["setup"]
    said = (made / ".venv" / "said.txt").read_text().splitlines()
    assert said[0].startswith(f"Setting up .venv for {made} with Python 3.")
    words = said[1].split()
    minutes, download, disk = (float(words[words.index(unit) - 1]) for unit in ("minutes", "MB", "GB"))
    assert minutes * 60 == pytest.approx(measured["seconds"], rel=0.25)
    assert download * 1e6 == pytest.approx(measured["download_bytes"], rel=0.25)
    assert disk * 1e9 == pytest.approx(measured["disk_bytes"], rel=0.25)


@pytest.mark.advice("make setup", "activate.sh", "adapters/tracking/address.py", "environment.py", "paths.py")
@pytest.mark.advice("make setup", "stages/export.py")
def test_testing_adds_and_running_removes_nothing(made, wheel, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made, folder, symlinks=True)
    assert make(folder, "setup", wheel).returncode == 0  # Anew: this is another folder.
    assert f"folder {folder}\n" in (folder / ".venv" / ".installed").read_text()
    assert f"#!{folder}/" in (folder / ".venv" / "bin" / "uv").read_text()
    before = asked(folder)
    assert make(folder, "tools", wheel).returncode == 0
    added = asked(folder)
    assert added == [*before, "pip install", "pip install"]
    assert "--requirements requirements-dev.lock" in (folder / ".venv" / "uv.log").read_text()
    assert make(folder, "setup", wheel).returncode == make(folder, "tools", wheel).returncode == 0
    assert asked(folder) == added
    with (folder / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    [packages] = folder.glob(".venv/lib/python*/site-packages")
    unused = ("tensorflow/include/op.h", "pandas/tests/t.py", "numpy/tests/t.py", "scipy/a/b/tests/t.py")
    used = ("tensorflow/python/t.py", "pandas/testing.py", "scipy/a/b/t.py", "evidently/tests/t.py", "jinja2/tests.py")
    for name in (*unused, *used):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    assert make(folder, "setup", wheel).returncode == 0
    assert not any((packages / name).parent.exists() for name in unused[:2])
    assert [name for name in (*unused, *used) if (packages / name).exists()] == [*used]
    assert asked(folder) == [*added, "pip sync requirements-dev.lock", "pip install"]
    check_interrupted(folder, wheel)  # Here, as it takes seconds to set up a folder.


def check_interrupted(folder, wheel):
    """An update that was interrupted leaves packages of two lists, although the files go back to those from before."""
    before, lock = asked(folder), (folder / "requirements.lock").read_text()
    (folder / "requirements.lock").write_text(f"{lock}# changed again\n")
    (folder / ".venv" / "interrupted").touch()
    assert make(folder, "setup", wheel).returncode != 0
    (folder / "requirements.lock").write_text(lock)
    (folder / ".venv" / "interrupted").unlink()
    assert make(folder, "setup", wheel).returncode == make(folder, "setup", wheel).returncode == 0
    assert asked(folder) == [*before, *["pip sync requirements-dev.lock"] * 2, "pip install"]


def test_a_uv_whose_hash_is_not_in_the_lock_is_not_installed(wheel, tmp_path):
    folder = make_folder(tmp_path / "project", "1" * 64)
    result = make(folder, "setup", wheel)
    assert result.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.stderr
    assert not (folder / ".venv" / ".installed").exists()


def test_a_dataset_that_make_does_not_know_is_refused_before_anything_runs():
    command = ["make", "--no-print-directory", "--dry-run", "run", "DATA=sythetic"]
    found = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "DATA=sythetic: expected real or synthetic" in found.stderr
    assert not found.stdout
    variables = os.environ | {"DATA": "/mnt/scratch"}  # Somebody else's, and nobody's business but that of `run`.
    subprocess.run(["make", "--dry-run", "down"], cwd=SOURCE, env=variables, capture_output=True, check=True)


@pytest.mark.advice("make setup", "setup.sh")
def test_a_python_that_will_not_do_is_refused_before_anything_is_made(wheel, tmp_path):
    folder = make_folder(tmp_path / "project", sha256(wheel.read_bytes()).hexdigest())
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18\n', encoding="utf-8")
    python.chmod(0o755)
    result = make(folder, "setup", wheel, f"PYTHON={python}")
    assert result.returncode != 0
    assert f"{python} is Python 3.9.18; expected Python 3.11 to 3.13" in result.stderr
    assert {path.name for path in folder.iterdir()} == {*PARTS, "requirements.lock", "requirements-dev.lock"}
    assert "make setup PYTHON=" in result.stderr
    assert make(folder, "setup", wheel, f"PYTHON={sys.executable}").returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_deactivating_takes_back_what_activating_has_set_and_nothing_else(made, shell):
    script = """. .venv/bin/activate
    echo "$MLFLOW_TRACKING_URI $DO_NOT_TRACK"
    export PREFECT_API_URL=http://prefect.example/api
    deactivate
    echo "${MLFLOW_TRACKING_URI-none} $DO_NOT_TRACK $PREFECT_API_URL"
    env | grep -i fashion"""
    lines = activated(shell, script, made, DO_NOT_TRACK="mine").stdout.splitlines()
    assert lines[0] == f"sqlite:///{made}/.state/mlflow.db mine"
    assert lines[1] == "none mine http://prefect.example/api"
    assert not [line for line in lines[2:] if not line.startswith(("PWD=", "OLDPWD="))]


@pytest.mark.advice("source", "environment.py")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_second_project_in_one_shell_has_its_own_settings(made, shell, tmp_path):
    other = pretend(made, tmp_path / "other")
    script = f""". .venv/bin/activate
    cd {other}
    . .venv/bin/activate
    echo "$MLFLOW_TRACKING_URI"
    {shell} -c '. .venv/bin/activate && echo "$MLFLOW_TRACKING_URI"'"""
    expected = f"sqlite:///{other}/.state/mlflow.db"
    assert activated(shell, script, made).stdout.splitlines() == [expected, expected]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_the_defaults_as_python_does_whatever_the_folder_and_the_language(made, shell, tmp_path):
    other = pretend(made, tmp_path / "Bücher & Bilder's")
    lines = [
        "A=one two # a comment",
        'B="it\'s #1"',
        "C='a=b'",
        "export D=.state/d",
        "E=sqlite:///.state/e.db",
        "F=",
        "G=ä$A",
    ]
    (other / "defaults.env").write_text("\n".join(["C=less", *lines[:2]]), encoding="utf-8")
    (other / ".env").write_text("\n".join(lines[2:]), encoding="utf-8")
    expected = read_defaults(other) | {"F": "mine"}
    script = """set -eu
    F=mine
    . .venv/bin/activate
    printf '%s\\n' "$A" "$B" "$C" "$D" "$E" "$F" "$G" """
    result = activated(shell, script, other, LC_ALL="C")
    assert result.stdout.splitlines() == [expected[name] for name in "ABCDEFG"], result.stderr
    assert expected["C"] == "a=b"
    assert expected["A"] == "one two"


@pytest.mark.parametrize("shell", SHELLS)
def test_activating_in_a_folder_that_was_copied_is_refused(made, shell, tmp_path):
    folder = tmp_path / "copy"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(made / ".venv" / "bin" / "activate", folder / ".venv" / "bin")
    script = '. .venv/bin/activate || echo "refused ${MLFLOW_TRACKING_URI-none} ${VIRTUAL_ENV-none}"'
    result = activated(shell, script, folder)
    assert result.stdout == "refused none none\n"
    assert f"made for {made}, not for {folder}; make one of its own: make setup" in result.stderr


COMPLETING = {
    "bash": (
        ["bash", "--norc", "-i"],
        """. .venv/bin/activate
        COMP_WORDS=(fashion promo) COMP_CWORD=1
        _fashion_completion fashion; echo "${COMPREPLY[*]}"
        deactivate
        complete -p fashion 2>/dev/null || echo none""",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        """autoload -Uz compinit; compinit -D; . .venv/bin/activate
        echo "$_comps[fashion]"
        deactivate
        echo "${_comps[fashion]-none}\"""",
    ),
}


@pytest.mark.skipif(not (SOURCE / ".venv" / "completion.bash").exists(), reason="the environment is not of make setup")
@pytest.mark.parametrize("shell", SHELLS[:2])
def test_activating_completes_commands_in_a_shell_with_a_person_and_writes_nothing_into_the_home_folder(
    shell, tmp_path
):
    command, script = COMPLETING[shell]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "TERM": "dumb"}
    result = subprocess.run(
        [*command, "-c", script], cwd=SOURCE, env=environment, capture_output=True, text=True, check=True
    )
    offered = {"bash": "promote", "zsh": "_fashion_completion"}[shell]
    assert result.stdout.split() == [offered, "none"], result.stderr
    assert list(tmp_path.iterdir()) == []


def pretend(made, other):
    """Another project, whose environment is only pretended: what counts is the shell."""
    bin_folder = other / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(SOURCE / name, other)
    shutil.copytree(made / "src", other / "src")
    (bin_folder / "python").write_text(f'#!/bin/sh\nexec "{made}/.venv/bin/python" "$@"\n', encoding="utf-8")
    (bin_folder / "python").chmod(0o755)
    text = (made / ".venv" / "bin" / "activate").read_text(encoding="utf-8")
    quoted, quoted_other = (str(folder).replace("'", "'\\''") for folder in (made, other))
    text = text.replace(f"'{quoted}'", f"'{quoted_other}'").replace(str(made), str(other))
    (bin_folder / "activate").write_text(text, encoding="utf-8")
    return other


def activated(shell, script, folder, **variables):
    """A script in a shell in which none of the defaults is set."""
    environment = {"PATH": os.defpath, "HOME": str(Path.home()), **variables}
    return subprocess.run(
        [shell, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
