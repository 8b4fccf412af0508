import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_point_down_and_adapters_do_not_know_each_other():
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_only_the_flows_import_prefect():
    offenders = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if "import prefect" in path.read_text() or "from prefect" in path.read_text()
    ]
    assert not offenders
