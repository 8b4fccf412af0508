"""Write the bill of materials of requirements.lock in CycloneDX, offline: each package with version, hashes, licence.

The lock says which packages there are, for all platforms; the licences are those that the installed ones declare.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BILL = ROOT / ".state" / "bill.json"


def main(path: Path) -> None:
    bill = cyclonedx("requirements", "--pyproject", str(ROOT / "pyproject.toml"), str(ROOT / "requirements.lock"))
    installed = cyclonedx("environment", sys.executable)
    licences = {key(one): one["licenses"] for one in installed["components"] if "licenses" in one}
    for component in bill["components"]:
        if key(component) in licences:
            component["licenses"] = licences[key(component)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    known = sum("licenses" in component for component in bill["components"])
    print(f"{path}: {len(bill['components'])} packages, {known} of them with their licence")


def cyclonedx(*arguments: str) -> Any:
    command = [sys.executable, "-m", "cyclonedx_py", *arguments, "--output-format", "JSON", "--output-reproducible"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def key(component: dict[str, Any]) -> tuple[str, str]:
    return canonicalize_name(component["name"]), component.get("version", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BILL)
