"""Whose labels made the data unfit to learn from."""

from collections.abc import Sequence

import pandas as pd

from fashion.stages.validate import Examined, failures


def is_to_blame(found: Examined, name: str) -> bool:
    """Return whether the batch of that name made the data unfit, rather than what was there before it."""
    failed = failures(found.findings)
    own = [finding for finding in failed if finding.reason.endswith(f"({name})")]
    return len(own) == len(failed) and bool(own or (found.quarantine["split"] == name).any())


def least_believed(found: Examined, name: str, sources: Sequence[str]) -> str:
    """Return the source whose labels agree least with those of similar images; an image in quarantine agrees with none.

    Args:
        sources: of each image of the batch `name`, who gave its label.
    """
    batch = found.batches[name]
    support = batch["label_support"].to_numpy() * ~batch.index.isin(found.quarantine.index)
    return str(pd.Series(support).groupby(list(sources)).mean().idxmin())
