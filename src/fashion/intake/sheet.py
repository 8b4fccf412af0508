"""A sheet of what the model will see, and lists of what was not taken."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.adapters.decoding import readable_name
from fashion.adapters.plots import contact_sheet, legible
from fashion.images.assignment import LEFT_OUT
from fashion.intake.arrange import Arranged
from fashion.intake.scan import Scanned
from fashion.storage import atomic_folder, write_text

SHOWN, ROW, ROWS = 64, 8, 12
"""Images on the sheet: a row for each of up to so many classes, else about so many; of as many classes, one of each."""
LONGEST_CAPTION = 18
SHEET, REFUSED, LEAKED = "sheet.png", "refused.csv", "left_out.csv"


def write_sheet(folder: Path, scanned: Scanned, arranged: Arranged) -> None:
    """Write the sheet, refused.csv and left_out.csv into a folder that replaces the one of the last import."""
    shown = _choose(arranged)
    names = legible(arranged.classes)
    captions = [_caption(names[label]) for label in arranged.labels[shown]]
    height, width, channels = scanned.form.shape
    title = f"What the model will see: {height} x {width} pixels, {'grey' if channels == 1 else 'in colour'}"
    refused = pd.DataFrame(scanned.refused.items(), columns=["picture", "reason"])
    leaked = [readable_name(scanned.items[place].name) for place in arranged.rows(LEFT_OUT)]
    reason = "it, a near copy of it or a picture of its group is in a later split"
    with atomic_folder(folder) as target:
        contact_sheet(scanned.images[shown], captions, target / SHEET, title)
        write_text(target / REFUSED, refused.to_csv(index=False))
        write_text(target / LEAKED, pd.DataFrame({"picture": leaked, "reason": reason}).to_csv(index=False))


def _choose(arranged: Arranged) -> NDArray[np.int64]:
    """Return about as many images of each class, spread over the class."""
    classes = len(arranged.classes)
    each = ROW if classes <= ROWS else max(1, SHOWN // classes)
    chosen: list[NDArray[np.int64]] = []
    for label in np.unique(np.linspace(0, classes - 1, min(classes, SHOWN)).astype(int)):
        mine = np.flatnonzero(arranged.labels == label)
        chosen.append(mine[np.unique(np.linspace(0, len(mine) - 1, min(each, len(mine))).astype(int))])
    return np.concatenate(chosen)


def _caption(name: str) -> str:
    return name if len(name) <= LONGEST_CAPTION else f"{name[: LONGEST_CAPTION - 1]}…"
