"""Importing libraries that take seconds."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from fashion.quiet import quiet_standard_error


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Import TensorFlow and its like in the body, faster and without what they print.

    Such a library makes some hundred thousand objects that live as long as the process. Python's garbage collector goes
    through all of them whenever there are a quarter more, and once again at the end: with TensorFlow that is a third of
    a short command's time. Here it waits until they are there, and then leaves them alone for good.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with quiet_standard_error():
            yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
        # What was made since is about to go anyway.
        atexit.register(gc.freeze)
