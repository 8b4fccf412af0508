"""Importing libraries that take seconds."""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from fashion.errors import SetupError
from fashion.quiet import quiet_standard_error

CACHE = "XDG_CACHE_HOME"
"""Where programs keep what they can do without; unset, in ~/.cache. Source: the XDG base directory specification."""

EXTRAS = {
    "serve": ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn"),
    "batch": ("pyarrow", "threadpoolctl"),
    "train": (
        *("dvc", "evidently", "great_expectations", "h5py", "keras", "matplotlib", "onnx", "onnxruntime", "optuna"),
        *("scipy", "sklearn", "tensorflow", "tf2onnx"),
    ),
    "flows": ("honcho", "prefect"),
    "dask": ("distributed",),
}
"""Which modules each extra of the package brings that its plain installation does not."""


def explain_absence(module: str) -> str | None:
    """Return what to install for a module of an extra that is not installed; None if it is there, or of no extra."""
    package = module.partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if package in modules), None)
    if extra is None or find_spec(package):
        return None
    return (
        f"This needs {package}, which is not installed. In the project's folder, make setup installs everything, and "
        f"pip install '.[{extra}]' what this needs"
    )


@contextmanager
def absence_explained() -> Iterator[None]:
    """Turn the import of a module that an extra brings into an error in words.

    Raises:
        SetupError: the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if explanation := explain_absence(error.name or ""):
            raise SetupError(explanation) from error
        raise


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
