"""`make coverage` learns of the lines of every process, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.projects import SOURCE

MODULE = SOURCE / "src" / "fashion" / "interruption.py"
ENDINGS = {
    "at its end": "",
    "by an exception": "raise OSError",
    "by os._exit": "os._exit(0)",
    "by SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "by another program in its place": "os.execv(sys.executable, [sys.executable, '-S', '-c', ''])",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_lines_of_a_process_are_kept_however_it_ends(ending: str, tmp_path: Path) -> None:
    recorder = tmp_path / "tests" / "recorder"
    recorder.mkdir(parents=True)
    (recorder / "sitecustomize.py").symlink_to(SOURCE / "tests" / "recorder" / "sitecustomize.py")
    words = [sys.executable, "-c", f"import os, signal, sys, fashion.interruption\n{ending}"]
    subprocess.run(words, env=os.environ | {"PYTHONPATH": str(recorder)}, capture_output=True, timeout=600, check=False)
    (kept,) = (tmp_path / ".state" / "coverage").iterdir()
    data = CoverageData(str(kept))
    data.read()
    lines = MODULE.read_text().splitlines()
    assert lines.index("def uninterrupted() -> Iterator[None]:") + 1 in data.lines(str(MODULE))
    assert lines.index("    arrived: list[int] = []") + 1 not in data.lines(str(MODULE)), "Nobody called it."
