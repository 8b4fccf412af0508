"""What comes from the shell: packages, git, variables, proxies."""

import os
import re
import sys

from fashion.adapters import git
from fashion.adapters.machine import VARIABLES
from fashion.defaults import read_defaults
from fashion.doctor.finding import NOTE, PROBLEM, WELL, Finding
from fashion.environment import FIXED, check_environment, check_registry_address
from fashion.errors import LineageError, ParamsError, without_secrets
from fashion.paths import Project

STEERING = re.compile(rf"(MLFLOW|PREFECT|DVC|GX|KERAS)_\w+|TF_USE_LEGACY_KERAS|PYTHON(PATH|HOME)|{VARIABLES.pattern}")
"""Variables through which another project could affect the tools of this one."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def check_packages(project: Project) -> Finding:
    """Check that the running code and packages are this project's."""
    try:
        check_environment(project)
    except ParamsError as error:
        return Finding("packages", PROBLEM, str(error))
    return Finding("packages", WELL, f"Python {sys.version.split()[0]} in {sys.prefix}")


def check_git(project: Project) -> Finding:
    """Check that git can tell which commit a version comes from."""
    try:
        source = git.read_source(project)
    except LineageError as error:
        said, _, advice = str(error).partition("\n")
        return Finding("git", PROBLEM, said, advice)
    if source.commit is None:
        said = "no commit: versions are registered without their source, and cannot be reproduced"
        return Finding("git", NOTE, said, "git init; git add .; git commit -m 'Start'")
    changed = f", {len(source.changed)} changed files" if source.changed else ""
    return Finding("git", WELL, f"commit {source.commit[:10]}{changed}")


def check_variables(project: Project) -> Finding:
    """Find the tools' variables that differ from the defaults: those set outside take precedence."""
    try:
        check_registry_address(project)
    except ParamsError as error:
        return Finding("variables", PROBLEM, str(error))
    ours = read_defaults(project.root) | FIXED
    set_here = {name: value for name, value in sorted(os.environ.items()) if STEERING.fullmatch(name) and value}
    foreign = [name for name, value in set_here.items() if ours.get(name) != value]
    if foreign:
        said = f"set outside defaults.env and .env, and taking precedence over it: {', '.join(foreign)}"
        return Finding("variables", NOTE, said, f"if that is not intended: unset {' '.join(foreign)}")
    return Finding("variables", WELL, "those of defaults.env and .env")


def check_proxies(_: Project) -> Finding:
    """Find the proxies between the project and other machines."""
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES}
    named = [f"{name}={without_secrets(value)}" for name, value in found.items() if value]
    if named:
        said = f"{', '.join(named)}: used for other machines; services on this one are reached directly"
        return Finding("proxies", NOTE, said, "if a server must be reached directly: add it to NO_PROXY")
    return Finding("proxies", WELL, "none")
