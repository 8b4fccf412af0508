"""Write the bill of materials of requirements.lock in CycloneDX, offline: each package with version, hashes, licence.

The lock says which packages there are, for all platforms; the licences are those that the installed ones declare.
"""

import importlib.metadata
import json
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BILL = ROOT / ".state" / "bill.json"
LONGEST_NAME = 100
"""Characters of a licence's name; what is longer is its text."""


def main(path: Path) -> None:
    files = ("--pyproject", str(ROOT / "pyproject.toml"), str(ROOT / "requirements.lock"))
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", *files, "--output-reproducible"]
    bill = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    installed = {key(one.name, one.version): licences(one) for one in importlib.metadata.distributions()}
    for component in bill["components"]:
        if found := installed.get(key(component["name"], component.get("version", ""))):
            component["licenses"] = found
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    known = sum("licenses" in component for component in bill["components"])
    print(f"{path}: {len(bill['components'])} packages, {known} of them with their licence")


def key(name: str, version: str) -> tuple[str, str]:
    return canonicalize_name(name), version


def licences(package: Distribution) -> list[dict[str, Any]]:
    """Return what a package declares, as CycloneDX has it: an expression of SPDX's, or names."""
    if expression := package.metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = package.metadata.get_all("Classifier") or []
    names = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    field = package.metadata.get("License") or ""
    if not names and 0 < len(field) <= LONGEST_NAME:
        names = [field]
    return [{"license": {"name": name}} for name in names]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BILL)
