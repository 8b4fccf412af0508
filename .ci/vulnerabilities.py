"""Look for the packages of requirements.lock among the known vulnerabilities, by pip-audit.

Exit status: 0 if none is known, 1 if some are, 3 if that could not be found out. A source that does not know an old and
famous vulnerability has no data, whatever it answers: a mirror of packages may be such a one.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
SOURCES = {"pip-audit's own source": (), "OSV": ("--vulnerability-service", "osv")}
"""With the options of pip-audit that choose it; the first one that has data is asked."""
FAMOUS = "jinja2==3.1.2"
"""CVE-2024-22195."""
NONE, SOME, UNKNOWN = 0, 1, 3

Found = list[dict[str, Any]]


def main() -> int:
    locked = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?(==[\w.+!-]+)", LOCK.read_text("utf-8"), re.MULTILINE)
    pinned = sorted({name + version for name, version in locked})
    for source, options in SOURCES.items():
        if any(package.get("vulns") for package in look_up([FAMOUS], options)):
            return report(source, len(pinned), look_up(pinned, options))
        print(f"{source} does not answer, or has no data: it does not know the vulnerability of {FAMOUS}")
    print(
        "NOT LOOKED UP: this needs the network, and nobody could be asked whether the locked packages have known "
        "vulnerabilities"
    )
    return UNKNOWN


def look_up(pinned: list[str], options: tuple[str, ...]) -> Found:
    """What pip-audit says of each package; nothing of those of which it could not ask."""
    return [package for part in without_repetition(pinned) for package in audit(part, options)]


def audit(pinned: list[str], options: tuple[str, ...]) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text("\n".join(pinned), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json", *options]
        command += ["--progress-spinner", "off", "--requirement", str(path)]
        output = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        found: Found = json.loads(output.stdout)["dependencies"]
    except ValueError:
        print("\n".join(output.stderr.strip().splitlines()[-1:]))
        return []
    return found


def without_repetition(pinned: list[str]) -> list[list[str]]:
    """In parts: pip-audit refuses two versions of a package, which a lock for several Pythons has."""
    parts: list[dict[str, str]] = []
    for package in pinned:
        name = package.partition("==")[0]
        part = next((part for part in parts if name not in part), None)
        if part is None:
            parts.append(part := {})
        part[name] = package
    return [list(part.values()) for part in parts]


def report(source: str, asked: int, found: Found) -> int:
    known = [package for package in found if "skip_reason" not in package]
    vulnerable = [package for package in known if package["vulns"]]
    for package in vulnerable:
        for one in package["vulns"]:
            better = ", ".join(one["fix_versions"]) or "no version"
            print(
                f"{package['name']} {package['version']}: {', '.join([one['id'], *one['aliases']])}; mended in {better}"
            )
    print(f"{source}: {len(known)} of {asked} packages looked up, {len(vulnerable)} with known vulnerabilities")
    if len(known) < asked:
        print(f"NOT LOOKED UP: {asked - len(known)} packages")
    return SOME if vulnerable else NONE if len(known) == asked else UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
