"""Record which lines each process runs, for `make coverage`: Python imports this module first, from PYTHONPATH.

coverage.py measures by `sys.settrace`, which slows every module down in Python 3.11, TensorFlow's too: all tests would
take three hours. SlipCover changes the bytecode of the project's modules alone. What it saw is kept as data of
coverage.py, which combines and reports them.
"""

import atexit
import os
import signal
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from slipcover import Slipcover

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".state" / "coverage" / "data"
PACKAGES = {"fashion", "flows"}


def record() -> None:
    """Instrument what is imported from now on; keep the lines that ran, unless the process is killed."""
    from slipcover import Slipcover

    slipcover = Slipcover()
    instrument_modules(slipcover)
    before_the_end(lambda: keep_lines(slipcover))


def instrument_modules(slipcover: "Slipcover") -> None:
    read_code = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        code = read_code(loader, name)
        return slipcover.instrument(code) if code is not None and is_ours(name, code) else code

    SourceFileLoader.get_code = get_code


def is_ours(module: str, code: CodeType) -> bool:
    """Return whether it is a module of `src` or `flows`, here or in a copy of the project."""
    folders = Path(code.co_filename).parts[:-1]
    return bool(PACKAGES.intersection(folders)) and not {"site-packages", "tests"}.intersection(folders)


def keep_lines(slipcover: "Slipcover") -> None:
    """Write a data file of its own; modules that no process imports count as well, with no line."""
    from coverage import CoverageData

    found = slipcover.get_coverage()["files"]
    DATA.parent.mkdir(parents=True, exist_ok=True)
    data = CoverageData(str(DATA), suffix=True)
    data.add_lines({os.path.abspath(path): lines["executed_lines"] for path, lines in found.items()})
    data.touch_files([str(path) for folder in ("src", "flows") for path in (ROOT / folder).rglob("*.py")])
    data.write()
    data.close(force=True)


def before_the_end(keep: Callable[[], None]) -> None:
    """Call it at the interpreter's end, and before what ends a process without that."""

    def keep_and_end(number: int, frame: FrameType | None) -> None:
        keep()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    atexit.register(keep)
    signal.signal(signal.SIGTERM, keep_and_end)
    for name in ("_exit", "execv"):
        setattr(os, name, after(keep, getattr(os, name)))


def after(keep: Callable[[], None], end: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    def keep_and_call(*arguments: object) -> NoReturn:
        try:
            keep()
        finally:  # Also where the process has become a user who may not write here: its parent waits for it to end.
            end(*arguments)

    return keep_and_call


if find_spec("slipcover"):  # not where a test made an environment of its own, whose lines are not the project's
    record()
