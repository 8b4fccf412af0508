"""The errors a user can meet. Anything else that is raised is a bug and keeps its traceback.

FashionError
├── ParamsError     params.yaml or an environment variable is wrong
│   └── SetupError  the environment, a variable of a tool's, or the folder is not what the project needs
├── DataError       a data file is missing, damaged, or not what it should be
├── SuiteError      a file in expectations/ is wrong
├── ArtifactError   an output of an earlier stage is missing or damaged
├── DiskError       a disk is full, or this user may not write there
├── TrainingError   training went wrong, for example a loss that is not finite
├── PromotionError  a version cannot have the alias that was asked for
├── LineageError    where a version comes from is not known here, so that it cannot be made again
│   └── GitError    git is not installed, refuses to look, or there is no repository
└── ServiceError    a service (MLflow, DVC, Prefect) is away or answered nonsense
    └── AbsenceError the registry answers, and names no champion
"""

import re

USER = re.compile(r'(?<=://)(?:[^\s/?#"<>]*|[^\s/?#"<>:]*:(?!\d*[/?#])[^\s"<>@]*)@')
"""In an address: a user's name and password. The second form is a password with a slash, which SQLAlchemy takes."""
SECRET = re.compile(r"([?&;][\w.%-]*(?:pass|pwd|secret|token|signature|key)[\w.%-]*=)[^\s&;#\"'<>]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return a text in which no address shows a user's name, a password, or a token."""
    return SECRET.sub(r"\1***", USER.sub("", text))


class FashionError(Exception):
    """Says what happened, where, what was expected and found, and what to do next; never a password in an address."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class ParamsError(FashionError):
    """params.yaml or an environment variable is wrong."""


class SetupError(ParamsError):
    """The environment, a variable of a tool's, or the folder is not what the project needs."""


class DataError(FashionError):
    """A data file is missing, damaged, or not what it should be."""


class SuiteError(FashionError):
    """A file in expectations/ is wrong."""


class ArtifactError(FashionError):
    """An output of an earlier stage is missing or damaged."""


class DiskError(FashionError):
    """A disk is full, or this user may not write there."""


class TrainingError(FashionError):
    """Training went wrong."""


class StageError(FashionError):
    """A stage that DVC ran ended in an error; the message is the stage's own."""


class PromotionError(FashionError):
    """A version cannot have the alias that was asked for."""


class LineageError(FashionError):
    """Where a version comes from is not known, or not to be had here."""


class GitError(LineageError):
    """Git is not installed, refuses to look, or there is no repository."""


class ServiceError(FashionError):
    """A service is away or answered nonsense."""


class AbsenceError(ServiceError):
    """The registry answers, and names no champion."""
