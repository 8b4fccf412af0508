"""Importing libraries that take seconds."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from fashion.quiet import quiet_standard_error


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Import libraries such as TensorFlow in the body, faster and without their output.

    Such a library creates some hundred thousand objects that live as long as the process. Python's garbage collector
    scans all of them whenever their number has grown by a quarter, and again at exit: with TensorFlow that is a third
    of a short command's time. Here it waits until they exist, and then ignores them for good.
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
        # Objects made since are about to be freed anyway.
        atexit.register(gc.freeze)
