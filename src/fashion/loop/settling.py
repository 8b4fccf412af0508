"""The reference of a champion that has learned from collected images: its own first predictions.

The validation images show the old world. Compared with them, a model that was made because the world had changed would
report that same change for ever; and collected images from which it did not learn are few, and from all times.
"""

from pathlib import Path

import numpy as np

from fashion.adapters.predictions import Window
from fashion.errors import ArtifactError
from fashion.evaluation.drift import draw_labels
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json
from fashion.stages.reference import Known, Reference, read_descriptors, read_reference, write_reference
from fashion.storage import atomic_folder, keep_newest, write_json

IDS = "ids.json"
KEPT = 3
"""Champions whose reference is kept."""


def settle(folder: Path, known: Known, window: Window, size: int, by_hand: bool) -> tuple[Known | None, Window]:
    """Return what to compare a window with, and the window without the predictions that are part of it.

    Args:
        folder: where the reference is kept; it is made there when there are enough predictions for it.
        known: what came with the model.
        window: the oldest come first.
        size: how many predictions make a reference.
        by_hand: whether the window was chosen by hand: then no reference is made of it.

    Returns:
        None as the first while there is no reference yet.

    Raises:
        ArtifactError: the reference is damaged.
    """
    if not folder.exists():
        if by_hand or len(window) < size:
            return None, window
        _write(folder, known, window.part(slice(size)))
    try:
        ids = load_json(folder / IDS, LARGEST_ARTIFACT_BYTES)
        settled = Known(read_reference(folder), read_descriptors(folder), known.examples, settled=True)
    except (OSError, ValueError, ArtifactError) as error:
        raise ArtifactError(
            f"{folder} is damaged ({error}). Remove it: the next predictions become the reference"
        ) from error
    return settled, window.part(slice(int(np.isin(window.ids, ids).sum()), None))


def _write(folder: Path, known: Known, first: Window) -> None:
    reference = Reference(
        embeddings=first.embeddings,
        probabilities=first.probabilities,
        labels=draw_labels(first.probabilities).astype(np.uint8),
        predicted=first.predicted.astype(np.uint8),
        abstention=known.reference.abstention,
        learned_collected=True,
    )
    with atomic_folder(folder) as temporary:
        write_reference(temporary, reference, first.images)
        write_json(temporary / IDS, [str(one) for one in first.ids])
    keep_newest(folder.parent.iterdir(), KEPT)
