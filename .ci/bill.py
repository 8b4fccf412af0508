"""Write the bill of materials of requirements.lock in CycloneDX, offline: each package with version, hashes, licence.

The lock says which packages there are, for all platforms; the licences are those that the installed ones declare.
"""

import importlib.metadata
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.utils import canonicalize_name
from pip_requirements_parser import InstallRequirement, RequirementsFile

ROOT = Path(__file__).resolve().parents[1]
BILL = ROOT / ".state" / "bill.json"
LONGEST_NAME = 100
"""Characters of a licence's name; what is longer is its text."""


def main(path: Path) -> None:
    locked = RequirementsFile.from_file(str(ROOT / "requirements.lock"), include_nested=True).requirements
    installed = {canonicalize_name(one.name): one for one in importlib.metadata.distributions()}
    components = [describe(package, installed.get(canonicalize_name(package.name))) for package in locked]
    bill = Bom(components=components)
    bill.metadata.component = this_project()
    bill.register_dependency(bill.metadata.component, components)
    path.parent.mkdir(exist_ok=True)
    output = make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6)
    output.output_to_file(str(path), allow_overwrite=True, indent=2)
    known = sum(bool(component.licenses) for component in components)
    print(f"{path}: {len(components)} packages, {known} of them with their licence")


def this_project() -> Component:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    return Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)


def describe(package: InstallRequirement, installed: Distribution | None) -> Component:
    version = package.get_pinned_version
    url = PackageURL("pypi", name=canonicalize_name(package.name), version=version)
    hashes = [HashTypeFactory().from_composite_str(one.removeprefix("--hash=")) for one in package.hash_options]
    return Component(
        name=package.name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(url),
        purl=url,
        licenses=licences(installed) if installed and installed.version == version else (),
        # The hashes are those of a package's archives, of which a component of the bill would have one.
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(url)), hashes=hashes)
        ],
    )


def licences(package: Distribution) -> Iterator[License]:
    """Return what a package declares, as CycloneDX has it: an expression of SPDX's, or names."""
    if expression := package.metadata.get("License-Expression"):
        yield LicenseExpression(expression)
        return
    classifiers = package.metadata.get_all("Classifier") or []
    names = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    field = package.metadata.get("License") or ""
    if not names and 0 < len(field) <= LONGEST_NAME:
        names = [field]
    yield from (DisjunctiveLicense(name=name) for name in names)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BILL)
