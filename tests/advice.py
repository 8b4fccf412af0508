"""Following advice: the command is taken from the words that recommend it, and typed as it stands there."""

import shlex

from typer.testing import CliRunner

from fashion.cli import app
from fashion.paths import Project
from tests.faults.commands import must


def follow(project: Project, words: object, command: str, more: str = "") -> str:
    """What the recommended command prints. It has to stand in the words, and to succeed.

    Args:
        more: options that a person adds, because the words leave them open.
    """
    assert command in str(words)
    command = f"{command} {more}"
    if command.startswith("fashion "):
        result = CliRunner().invoke(app, shlex.split(command)[1:], env={"FASHION_HOME": str(project.root)})
        assert result.exit_code == 0, f"{result.output}{result.exception}"
        return str(result.output)
    return str(must(project, "sh", "-c", command))
