"""An environment with the packages of a lock alone, out of those that are installed here, without a network."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

from tests.projects import SOURCE


def make_environment(folder: Path, lock: str) -> Path:
    """The interpreter of an environment in `folder` whose files are links to those that these packages brought here.

    Two packages may bring the same file, as mlflow and mlflow-skinny do: it is there if one of them is.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    here = Path(distribution("fashion").locate_file("")).resolve()
    for name in locked(lock):
        for file in distribution(name).files or ():
            if ".." not in file.parts:  # A command, which would run in the environment that it comes from.
                link(here / file, packages / file)
    (packages / "fashion.pth").write_text(str(SOURCE / "src"), encoding="utf-8")
    return folder / "bin" / "python"


def locked(lock: str) -> list[str]:
    """The packages that a lock has for this platform."""
    lines = re.findall(r"^([\w.-]+(?:\[.*?\])?==[^\\\n]+)", (SOURCE / lock).read_text(encoding="utf-8"), re.MULTILINE)
    needed = map(Requirement, lines)
    return [one.name for one in needed if one.marker is None or one.marker.evaluate()]


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.symlink_to(source)
    if source.suffix == ".py" and (compiled := Path(cache_from_source(str(source)))).exists():
        link(compiled, Path(cache_from_source(str(target))))
