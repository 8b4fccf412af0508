"""What `fashion --help` shows: groups, an example for each command that is a command line, a version, no installing."""

import re
import shlex
import tomllib

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fashion.cli import GROUPS, app
from tests.projects import SOURCE

PROGRAM = get_command(app)
COMMANDS = {
    **{(name,): command for name, command in PROGRAM.commands.items() if name != "key"},
    **{("key", name): command for name, command in PROGRAM.commands["key"].commands.items()},
}


def asked(*arguments):
    result = CliRunner().invoke(
        app, arguments, prog_name="fashion", env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    )
    assert result.exit_code == 0, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_that_is_a_command_line_of_its_own(name):
    example = re.fullmatch(r"Example: (fashion .+)", COMMANDS[name].epilog or "")
    assert example, f"{' '.join(name)} has no example"
    words = shlex.split(example[1])[1:]
    assert tuple(words[: len(name)]) == name
    PROGRAM.make_context("fashion", words[: len(name) - 1] or words)  # A name that is none fails here.
    COMMANDS[name].make_context(" ".join(name), words[len(name) :])
    assert " ".join(example[0].split()) in " ".join(asked(*name, "--help").split())


def test_the_overview_shows_every_command_under_a_heading():
    shown = asked("--help")
    for heading in GROUPS:
        assert f" {heading} " in shown
    assert {command.rich_help_panel for command in PROGRAM.commands.values()} == set(GROUPS)


def test_the_version_is_that_of_the_project():
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    assert asked("--version") == f"fashion {version}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_is_shown_and_never_installed(shell, monkeypatch, own_home):
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    assert "_FASHION_COMPLETE=complete_" in asked("--show-completion")
    result = CliRunner().invoke(app, ["--install-completion"])
    assert result.exit_code == 2
    assert list(own_home.iterdir()) == []
