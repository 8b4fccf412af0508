"""Labels that were refused are not tried again until they are corrected, or the rules that refused them change.

They are listed in .state/refused.csv, by the prediction and the label's own number in the log.
"""

from hashlib import sha256
from pathlib import Path
from shlex import quote

import pandas as pd

from fashion.errors import ArtifactError
from fashion.params import Params
from fashion.paths import Project
from fashion.storage import folder_digest, write_text

COLUMNS = ["id", "label_number", "rules"]
KEPT_LABELS = 100_000
"""Refused labels that are remembered, the last ones."""


def is_refused(project: Project, params: Params, labels: pd.DataFrame) -> "pd.Series[bool]":
    """Return for each row of `read_labels` of the log whether this very label was refused, by the rules that hold now.

    Raises:
        ArtifactError: the list of refused labels is damaged.
    """
    known = _read(refused_labels(project))
    valid = known[known["rules"] == _rules(project, params)]
    names = zip(labels["id"], labels["label_number"].astype("str"), strict=True)
    refused = set(zip(valid["id"], valid["label_number"], strict=True))
    return pd.Series([name in refused for name in names], index=labels.index, dtype="bool")


def remember(project: Project, params: Params, refused: pd.DataFrame) -> None:
    """Enter rows of `read_labels` into the list of refused labels."""
    new = refused[["id", "label_number"]].astype("str").assign(rules=_rules(project, params))
    path = refused_labels(project)
    known = pd.concat([_read(path), new]).drop_duplicates().tail(KEPT_LABELS)
    write_text(path, known.to_csv(index=False))


def count_refused(project: Project, params: Params) -> int:
    """Return how many labels were refused by the rules that hold now. Those that have been corrected since count, too.

    Raises:
        ArtifactError: the list of refused labels is damaged.
    """
    known = _read(refused_labels(project))
    return int((known["rules"] == _rules(project, params)).sum())


def refused_labels(project: Project) -> Path:
    return project.state / "refused.csv"


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype="str")[COLUMNS]
    except FileNotFoundError:
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    except (ValueError, KeyError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}). To try all labels listed there again: rm {quote(str(path))}"
        ) from error


def _rules(project: Project, params: Params) -> str:
    """Return a digest of what decides about a batch."""
    return sha256(f"{folder_digest(project.expectations)} {params.validate_!r}".encode()).hexdigest()[:16]
