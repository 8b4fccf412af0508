"""Pictures for the documents: imported where one is drawn, since matplotlib looks for its folder at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from fashion.storage import atomic_file


@contextmanager
def svg_figure(path: Path, size: tuple[float, float], letters: str = "none") -> Iterator[Figure]:
    """Yield a figure of this size in inches, which is written to `path` at the end of the block.

    Args:
        letters: "none" leaves the letters to the fonts of whoever looks at it, "path" draws them.
    """
    # Without a salt and with a date, every run would be another file.
    style = rc_context({"svg.hashsalt": path.stem, "svg.fonttype": letters, "font.family": "sans-serif"})
    with style, atomic_file(path) as partial:
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(partial, format="svg", metadata={"Date": None})
