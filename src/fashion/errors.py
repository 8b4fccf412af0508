"""The errors a user can meet. Anything else that is raised is a bug and keeps its traceback.

FashionError
├── ParamsError     params.yaml or an environment variable is wrong
│   └── SetupError  the environment, a tool's variable, or the folder is not what the project needs
├── DataError       a data file is missing, damaged, or not what it should be
├── SuiteError      a file in expectations/ is wrong
├── ArtifactError   an output of an earlier stage is missing or damaged
├── DiskError       a disk is full, or this user may not write there
├── TrainingError   training went wrong, for example a loss that is not finite
├── StageError      a stage that DVC ran ended in an error
├── PromotionError  a version cannot have the requested alias
├── LineageError    the origin of a version is not known here, so that it cannot be reproduced
│   └── GitError    git is not installed, refuses to read the repository, or there is none
└── ServiceError    a service (MLflow, DVC, Prefect) is unavailable or returned an invalid answer
    └── AbsenceError the registry answers, but has no champion
"""

import re

USER = re.compile(r'(?<=://)(?:[^\s/?#"<>]*|[^\s/?#"<>:]*:(?!\d*[/?#])[^\s"<>@]*)@')
"""In a URL: a user's name and password. The second form is a password with a slash, which SQLAlchemy accepts."""
SECRET = re.compile(r"([?&;][\w.%-]*(?:pass|pwd|secret|token|signature|key)[\w.%-]*=)[^\s&;#\"'<>]+", re.IGNORECASE)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What moves a terminal's cursor, or cannot be written as UTF-8; file names and the words of libraries have them."""


def without_secrets(text: str) -> str:
    """Return the text without the user names, passwords and tokens in its URLs."""
    return SECRET.sub(r"\1***", USER.sub("", text))


class FashionError(Exception):
    """Says what happened, where, what was expected and found, and what to do next.

    It never has a password in a URL, nor a control character.
    """

    def __init__(self, message: str) -> None:
        super().__init__(CONTROLS.sub("\N{REPLACEMENT CHARACTER}", without_secrets(message)))


class ParamsError(FashionError):
    """params.yaml or an environment variable is wrong."""


class SetupError(ParamsError):
    """The environment, a tool's variable, or the folder is not what the project needs."""


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
    """A version cannot have the requested alias."""


class LineageError(FashionError):
    """The origin of a version is not known, or not available here."""


class GitError(LineageError):
    """Git is not installed, refuses to read the repository, or there is none."""


class ServiceError(FashionError):
    """A service is unavailable or returned an invalid answer."""


class AbsenceError(ServiceError):
    """The registry answers, but has no champion."""
