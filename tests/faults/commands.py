"""Commands as a user types them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import PATIENCE_SECONDS

BIN = Path(sys.executable).parent


def start(project, *command, variables=None, **options):
    """A command in the project, with its output in one text stream."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **(variables or {})}
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=environment,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def run(project, *command, variables=None):
    """Exit status and output of a command."""
    process = start(project, *command, variables=variables)
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    return process.returncode, output


def must(project, *command):
    """The output of a command that has to succeed."""
    status, output = run(project, *command)
    assert status == 0, output
    return output
