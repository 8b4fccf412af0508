"""What the README and the Makefile promise exists."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from typer.main import get_command

import fashion
from fashion.adapters.decoding import MOST_PIXELS
from fashion.cli import app
from fashion.evaluation.error_rates.gates import ALIKE
from fashion.evaluation.error_rates.judgement import ELSEWHERE
from fashion.evaluation.estimates import CONFIDENCE, TIMED_CALLS
from fashion.evaluation.limits import WEIGHTS
from fashion.params import load_params
from fashion.serving.bodies import BodyLimits
from fashion.serving.limits import Limits
from fashion.settings import Settings
from tests.fuzz.targets import TARGETS as READERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def commands():
    """Every command in a code block or in back quotes."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    return [command.strip() for command in (*lines, *re.findall(r"`([^`\n]+)`", README)) if command.strip()]


def test_the_names_that_scripts_rely_on_are_make_targets():
    assert {"run", "quick", "test", "up", "down", "bench", "check", "clean"} <= TARGETS


def test_the_same_is_checked_by_hand_before_a_commit_and_by_continuous_integration():
    checked = re.findall(r"^\t(.+)", MAKEFILE.partition("\ncheck: ")[2].partition("\n\n")[0], re.MULTILINE)
    assert checked
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == checked
    assert not any(hook["pass_filenames"] for hook in repository["hooks"])
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    assert [step["run"] for job in jobs for step in job["steps"] if ".ci" in step.get("run", "")] == ["bash .ci/run"]
    assert re.findall(r"^make .*", (ROOT / ".ci" / "run").read_text(), re.MULTILINE) == ["make check", "make test"]


def test_every_make_target_in_the_readme_exists():
    named = [shlex.split(command)[1] for command in commands() if re.match(r"make [a-z]+", command)]
    assert named
    assert set(named) <= TARGETS


def test_every_fashion_command_and_option_in_the_readme_exists():
    known = get_command(app).commands
    named = [shlex.split(command) for command in commands() if command.startswith("fashion ")]
    assert named
    for _, name, *arguments in named:
        if name == "--help":
            continue
        options = {option for parameter in known[name].params for option in parameter.opts} | {"--help"}
        assert {argument for argument in arguments if argument.startswith("--")} <= options, name


def test_every_make_target_in_the_guide_for_contributors_exists():
    named = re.findall(r"^make (\w+)|`make (\w+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {first or second for first, second in named} <= TARGETS
    assert named


def test_every_file_and_variable_in_the_readme_exists():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert all((ROOT / link).exists() for link in links)
    variables = set(re.findall(r"FASHION_[A-Z_]+[A-Z]", README))
    assert variables <= {f"FASHION_{name.upper()}" for name in Settings.model_fields}


def test_every_link_in_the_documents_leads_to_a_file():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    links = [(path, link) for path in documents for link in re.findall(r"\]\(([^)#]+)", path.read_text())]
    assert [(path.name, link) for path, link in links if "://" not in link and not (path.parent / link).exists()] == []
    linked = {(path.parent / link).resolve() for path, link in links}
    assert set((ROOT / "docs").glob("*.md")) <= linked


def test_every_item_of_a_list_begins_its_line():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    within = re.compile(r"[.;)] - (?=\*\*|[a-z])| -$|\. [2-9]\. (?=[A-Z])", re.MULTILINE)
    assert [(path.name, found[0]) for path in documents for found in within.finditer(path.read_text())] == []


NAMED = re.compile(
    r"(?<![\w./-])((?:src|flows|tests|benchmarks|docs|expectations|\.ci)/(?:[\w.-]+/)*[\w.-]*\w/?)(?:::(\w+))?"
)
"""A path within the project, and the test in it that is meant."""
MANUALS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # It speaks of former releases, too.
]


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: path.name)
def test_every_file_folder_and_test_that_a_document_names_exists(document):
    words = re.sub(
        r"^```\w+\n.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL
    )  # Code is other tests'.
    for quoted in re.findall(r"`([^`]+)`", words):
        for path, test in NAMED.findall(quoted):
            assert (ROOT / path).exists(), path
            assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
        if re.fullmatch(r"[\w/]+\.py", quoted):
            assert (ROOT / quoted).exists(), f"{quoted}: a path within the project is wanted"


def test_every_renamed_import_of_the_changelog_is_gone_under_its_old_name_and_there_under_the_new_one():
    renamed = (ROOT / "CHANGELOG.md").read_text().partition("### Renamed imports")[2].partition("###")[0]
    moves = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", renamed, re.MULTILINE)
    assert moves
    for old, new in moves:
        assert module(new).exists(), new
        assert not module(old).exists() or old == "flows.services", old


def module(name):
    path = ROOT / ("src" if name.startswith("fashion.") else "") / name.replace(".", "/")
    return path if path.is_dir() else path.with_suffix(".py")


def test_the_newest_release_in_the_changelog_is_that_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    releases = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == version


def test_every_claim_about_security_names_the_test_that_holds_it():
    claims = (ROOT / "docs" / "security.md").read_text().partition("| claim |")[2].partition("\n\n")[0].splitlines()[2:]
    assert claims
    assert all(re.search(r"`tests/[\w/.]+::\w+` \|$", claim) for claim in claims)
    faults = (ROOT / "docs" / "faults.md").read_text()
    assert re.search(r"`tests/[\w/.]+`", faults)


def test_the_map_shows_every_room_and_the_architecture_says_what_to_change_there():
    rooms = {path.parent.name for path in (ROOT / "src" / "fashion").glob("*/__init__.py")}
    assert set(re.findall(r"^([a-z]+)  ", fashion.__doc__, re.MULTILINE)) == rooms
    opened = set(re.findall(r"`src/fashion/(\w+)/`", (ROOT / "docs" / "architecture.md").read_text()))
    assert opened == rooms
    alone = fashion.__doc__.partition("single modules")[2].partition("Prefect's")[0]
    modules = re.findall(r"`(\w+)`", alone)
    assert modules
    assert all((ROOT / "src" / "fashion" / f"{name}.py").exists() for name in modules)


def test_the_service_has_the_limits_and_settings_of_its_document():
    document = (ROOT / "docs" / "serving.md").read_text()
    limits, body = Limits(), BodyLimits()
    counts = (limits.images, limits.requests, f"{limits.labels}, {limits.refreshes}")
    for limit in (f"{body.bytes >> 20} MiB", f"{body.bytes_in_all >> 20} MiB", f"{body.seconds:g} s", *counts):
        assert f"| {limit} |" in document
    for pixels in (MOST_PIXELS, limits.pixels):
        assert f"| {pixels // 1_000_000} million | pixels" in document
    for name in (
        "serve_port",
        "serve_key",
        "serve_origin",
        "predictions_url",
        "predictions_keep_days",
        "predictions_keep_rows",
        "predictions_keep_pictures",
    ):
        default = Settings.model_fields[name].default
        shown = {None: "none"}.get(default, f"{default:,}" if name.endswith(("rows", "pictures")) else str(default))
        assert re.search(rf"\| `FASHION_{name.upper()}` \| `?{re.escape(shown)}`? \|", document), name


def test_every_reader_was_fuzzed():
    measured = json.loads((ROOT / "benchmarks" / "fuzz.json").read_text())
    assert {tally["target"] for tally in measured} == set(READERS)


QUOTED = {
    "main_job": "README.md",
    "promotion": "docs/judgement.md",
    "judgement": "docs/judgement.md",
    "gates": "docs/judgement.md",
    "robustness": "docs/judgement.md",
    "series": "docs/judgement.md",
    "batch": "docs/batch.md",
    "cluster": "docs/cluster.md",
    "growth": "docs/datasets.md",
    "demo": "docs/loop.md",
    "serving": "docs/serving.md",
    "exports": "docs/serving.md",
    "installs": "docs/installs.md",
    "soak": "docs/serving.md",
    "drift": "docs/drift.md",
    "fuzz": "docs/fuzzing.md",
    "steps": "docs/experiments.md",
    "training": "docs/experiments.md",
    "step_cost": "docs/experiments.md",
    "explore": "docs/explore.md",
    "own_images": "docs/import.md",
    "kept_pictures": "docs/decisions/0038-the-picture-as-it-was-sent.md",
}
"""Which document shows the figures of which benchmark."""


@pytest.mark.parametrize("name", QUOTED)
def test_the_documents_quote_what_was_measured_to_the_letter(name):
    document = (ROOT / QUOTED[name]).read_text()
    for line in filter(None, (ROOT / "benchmarks" / f"{name}.md").read_text().splitlines()):
        assert line in document, line


def test_the_document_shows_what_the_benchmark_of_single_changes_wrote_and_nothing_before_it_has_run():
    document, measured = (ROOT / "docs" / "experiments.md").read_text(), ROOT / "benchmarks" / "experiments.md"
    begin, end = "<!-- python -m benchmarks.experiments writes from here -->", "<!-- to here -->"
    shown = document.partition(begin)[2].partition(end)[0].strip()
    assert document.count(begin) == document.count(end) == 1
    if not shown:
        assert not measured.exists(), "python -m benchmarks.experiments writes both"
        return
    picture, page = shown.split("\n\n", maxsplit=1)
    assert page == measured.read_text().strip()
    assert (ROOT / "docs" / re.fullmatch(r"!\[.+\]\((.+)\)", picture)[1]).exists()


def test_the_readme_says_what_a_first_run_takes_within_a_quarter_of_what_was_measured():
    measured = json.loads((ROOT / "benchmarks" / "first_run.json").read_text())
    setup, run = measured["setup"], measured["run"]
    said = re.search(r"takes about ([\d.]+) minutes .* downloads (\d+) MB and needs ([\d.]+) GB", README)
    minutes, download, disk = map(float, said.groups())
    assert minutes * 60 == pytest.approx(setup["seconds"] + sum(run["seconds"].values()), rel=0.25)
    for found, name in ((download * 1e6, "download_bytes"), (disk * 1e9, "disk_bytes")):
        assert found == pytest.approx(setup[name] + run[name], rel=0.25)


def test_the_readme_is_short():
    assert len(README.splitlines()) < 180
    _, *sections = re.split(r"^## ", README, flags=re.MULTILINE)
    for section in sections:
        assert len([line for line in section.splitlines()[1:] if line]) <= 12, section


def test_every_format_that_is_exported_has_its_figures_and_its_purpose():
    measured = json.loads((ROOT / "benchmarks" / "exports.json").read_text())["formats"]
    gates = load_params(ROOT / "params.yaml").export.gates.model_dump()
    assert [f"{name}_agreement_at_least" for name in measured if name != "keras"] == list(gates)
    assert all(
        measured[gate.removesuffix("_agreement_at_least")]["agreement"] >= limit for gate, limit in gates.items()
    )


@pytest.mark.parametrize("name", ["judgement", "series"])
def test_the_error_rates_are_those_of_the_shipped_rule(name):
    measured = json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())
    assert measured["rule"] == load_params(ROOT / "params.yaml").register_.judgement.model_dump(exclude=ELSEWHERE)


def test_the_error_rates_on_corrupted_images_and_slices_are_those_of_the_shipped_rule():
    measured = json.loads((ROOT / "benchmarks" / "robustness.json").read_text())
    rule = load_params(ROOT / "params.yaml").register_.judgement
    margins = rule.margins.model_dump(include=ELSEWHERE["margins"])
    assert measured["rule"] == {"confidence": rule.confidence, "slices": list(rule.slices), "margins": margins}


def test_the_error_rates_of_the_gates_are_those_of_the_shipped_limits():
    measured = json.loads((ROOT / "benchmarks" / "gates.json").read_text())
    limits = load_params(ROOT / "params.yaml").evaluate.gates.model_dump(exclude={ALIKE})
    assert measured["rule"] == {"confidence": CONFIDENCE, "calls": TIMED_CALLS, "limits": limits}


def test_the_figures_of_the_alarm_are_those_of_the_shipped_rule():
    measured = json.loads((ROOT / "benchmarks" / "drift.json").read_text())
    assert measured["rule"] == load_params(ROOT / "params.yaml").monitor.alarm.model_dump()
    assert measured["weights"] == dict(WEIGHTS)


def test_the_documents_quote_how_often_a_model_abstains_to_the_letter():
    document = (ROOT / "docs" / "decisions" / "0027-abstention-on-nonsense.md").read_text()
    assert (ROOT / "benchmarks" / "abstention.md").read_text() in document


def test_every_deployment_in_the_readme_is_in_prefect_yaml():
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    made = {f"{entry['entrypoint'].split(':')[1]}/{entry['name']}" for entry in content["deployments"]}
    named = set(re.findall(r"prefect deployment run '([^']+)'", README))
    assert named
    assert named <= made


@pytest.mark.parametrize(
    "name",
    [
        "prefect.yaml",
        "dvc.yaml",
        "Dockerfile",
        "compose.yaml",
        "Makefile",
        "setup.sh",
        "slim.sh",
        ".env",
        "defaults.env",
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-serve.lock",
        "README.md",
        "CONTRIBUTING.md",
        ".pre-commit-config.yaml",
    ],
)
def test_no_file_names_a_folder_of_somebodys_machine_or_a_package_index(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"(^|[\s\"'=])/(home|root|Users|work)/", text)
    assert not re.search(r"pypi|index-url|/simple\b", text)


SERVING = ("serve",)
RUNNING = ("serve", "batch", "train", "flows", "s3", "setup")
TESTING = (*RUNNING, "dev")
LOCKS = {"requirements-serve.lock": SERVING, "requirements.lock": RUNNING, "requirements-dev.lock": TESTING}


@pytest.mark.parametrize(("name", "extras"), LOCKS.items())
def test_a_lock_holds_every_dependency_within_its_bounds(name, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = read_lock(name)
    needed = [text for extra in extras for text in project["optional-dependencies"][extra]]
    requirements = map(Requirement, [*project["dependencies"], *needed])
    for requirement in (one for one in requirements if one.name != "fashion"):
        versions = [version for package, version in locked if package == canonicalize_name(requirement.name)]
        assert versions, requirement
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_what_serving_needs_is_a_part_of_what_running_needs_and_that_of_what_testing_needs():
    serving, running, testing = map(read_lock, LOCKS)
    assert serving.items() < running.items() < testing.items()
    assert {"pytest", "mypy", "ruff"}.isdisjoint(package for package, _ in running)


def read_lock(name):
    """The hashes of each package and version."""
    text = (ROOT / name).read_text()
    entries = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    locked = {}
    for package, version, rest in entries:
        hashes = frozenset(re.findall(r"--hash=sha256:[0-9a-f]{64}", rest))
        assert hashes, package
        locked[canonicalize_name(package), Version(version)] = hashes
    return locked
