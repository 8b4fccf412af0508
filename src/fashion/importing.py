"""Importing libraries that take seconds."""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from fashion.quiet import quiet_standard_error

CACHE = "XDG_CACHE_HOME"
"""Where programs keep what they can do without; unset, in ~/.cache. Source: the XDG base directory specification."""


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


@contextmanager
def cache_that_goes() -> Iterator[None]:
    """Import a library in the body that would leave files in the user's cache: they go to a folder that is removed."""
    before = os.environ.get(CACHE)
    with TemporaryDirectory(prefix="fashion-") as folder:
        os.environ[CACHE] = folder
        try:
            yield
        finally:
            os.environ.pop(CACHE)
            if before is not None:
                os.environ[CACHE] = before
