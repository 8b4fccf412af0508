"""Which labels of the log say something that neither the dataset nor a batch says already."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fashion.adapters.predictions import NO_LABEL
from fashion.arrays import LabelledImages
from fashion.images.descriptors import content_hashes

IN_TEST, IN_TRAIN = "the same image is in the test set", "the same image is in the training set"
COPY = "the same image was labelled again later"
UNKNOWN = "the label is not one of this project's classes (data.classes)"
TICK = np.timedelta64(1, "us")


def find_new(
    labels: pd.DataFrame, raw: Mapping[str, LabelledImages], known: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of `read_labels` of the log that say something new, and how many say nothing new, by reason.

    Args:
        known: the labels that the batches hold, as `batches.read_labels` gives them.
    """
    unknown = int((labels["label"] == NO_LABEL).sum())
    labels = labels[labels["label"] != NO_LABEL]
    # Whoever corrects a mistake unasked may do so after somebody was asked about the same image.
    labels = labels.assign(asked=labels.groupby("content_hash")["asked"].transform("any"))
    newest = _with_known(labels.drop_duplicates("content_hash", keep="last"), known)
    # A label of the same prediction is later than the one in the batch, whatever the clocks say.
    is_later = (newest["id"] == newest["known_id"]) | ~(newest["labelled"] <= newest["known_labelled"])
    fresh = newest[newest["known_label"].isna() | ((newest["label"] != newest["known_label"]) & is_later)]
    in_test, in_train = (fresh["content_hash"].isin(content_hashes(raw[name].images)) for name in ("test", "train"))
    wanted = fresh[~in_test & ~in_train]
    copies = int(labels["content_hash"].isin(wanted["content_hash"]).sum()) - len(wanted)
    counts = {IN_TEST: int(in_test.sum()), IN_TRAIN: int((in_train & ~in_test).sum()), COPY: copies, UNKNOWN: unknown}
    return _in_order(wanted), counts


def _with_known(labels: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Put beside each label of the log what the batches say about the same image, if they contain it."""
    counting = known[known["counts"]].drop_duplicates("content_hash").set_index("content_hash")
    return labels.join(counting[["id", "label", "labelled"]].add_prefix("known_"), on="content_hash")


def _in_order(wanted: pd.DataFrame) -> pd.DataFrame:
    """Let each label come after the one that it replaces, even if a clock went back."""
    after = wanted["known_labelled"] + TICK
    return wanted.assign(labelled=wanted["labelled"].where(~(wanted["labelled"] < after), after))
