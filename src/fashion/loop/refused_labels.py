"""Labels that were refused are not tried again before they are corrected, or what refused them is changed.

They stand in .state/refused.csv, by the prediction and the label's own number in the log.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pandas as pd

from fashion.errors import ArtifactError
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.validate import Examined, failures
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


def is_to_blame(found: Examined, name: str) -> bool:
    """Return whether the batch of that name made the data unfit, rather than what was there before it."""
    failed = failures(found.findings)
    own = [finding for finding in failed if finding.reason.endswith(f"({name})")]
    return len(own) == len(failed) and bool(own or (found.quarantine["split"] == name).any())


def least_believed(found: Examined, name: str, sources: Sequence[str]) -> str:
    """Return the source whose labels agree least with those of similar images; an image in quarantine counts as none.

    Args:
        sources: of each image of the batch `name`, who gave its label.
    """
    batch = found.batches[name]
    support = batch["label_support"].to_numpy() * ~batch.index.isin(found.quarantine.index)
    return str(pd.Series(support).groupby(list(sources)).mean().idxmin())


def refused_labels(project: Project) -> Path:
    return project.state / "refused.csv"


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype="str")[COLUMNS]
    except FileNotFoundError:
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    except (ValueError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged ({error}). To try all labels that it names again: rm {path}") from error


def _rules(project: Project, params: Params) -> str:
    """Return a digest of what decides about a batch."""
    return sha256(f"{folder_digest(project.expectations)} {params.validate_!r}".encode()).hexdigest()[:16]
