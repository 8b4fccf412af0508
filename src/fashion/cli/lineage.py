"""Where a version comes from, and making it again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from fashion.cli.terminal import console, print_json, start
from fashion.importing import heavy_imports

if TYPE_CHECKING:
    from fashion.evaluation.reproduction import Figure
    from fashion.registry.lineage import Lineage
    from fashion.registry.origin import Data, Origin
    from fashion.registry.reproduction import Reproduction

DIFFERS = 3
"""Exit status; 1 is an error, and 2 a command that was mistyped."""

app = typer.Typer()

Version = Annotated[str, typer.Argument(help="Its number, or `champion` or `challenger`.")]


@app.command(epilog="Example: fashion lineage champion --json")
def lineage(
    version: Version,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the tree.")] = False,
) -> None:
    """Show where a version comes from, from the data to its aliases."""
    project, params = start()
    with heavy_imports():
        from fashion.registry.lineage import look_up_lineage

    found = look_up_lineage(project, params, version)
    if as_json:
        print_json(found.to_dict())
    else:
        console.print(_tree(found), highlight=False, soft_wrap=False)


@app.command(epilog="Example: fashion reproduce 3")
def reproduce(version: Version) -> None:
    """Make a version again and compare: weights bit by bit, figures side by side.

    It takes the version's commit and uncommitted changes in a git worktree below .state, its data from DVC's cache or
    the default remote, and the environment in which you type this. Every stage runs, whatever DVC has in its caches.
    Your files, the registry and the cache of artifacts stay as they are.

    Exit status: 0 the weights are identical, 3 they differ (likely causes are named), 1 it could not be made again.
    """
    project, params = start()
    with heavy_imports():
        from fashion.registry.reproduction import reproduce as run

    made = run(project, params, version, lambda line: console.print(line, highlight=False))
    _print_reproduction(made)
    if not made.identical:
        raise typer.Exit(DIFFERS)


def _tree(found: "Lineage") -> Tree:
    origin, tags = found.origin, found.version.tags
    tree = Tree(f"{found.name} version {found.version.number}, {found.version.created}")
    for title, lines in (
        ("data", _data_lines(origin.data)),
        ("validation", _validation_lines(origin)),
        ("split", _split_lines(origin)),
        ("code", _code_lines(origin)),
        ("model", _model_lines(origin)),
        ("evaluation", [f"accuracy {origin.metrics['accuracy']:.2%}, interval {tags['accuracy_interval']}"]),
        ("gates", _gate_lines(origin.gates)),
        ("judgement", [f"{tags.get('verdict', 'none yet')}: {tags.get('reason', 'register was interrupted')}"]),
        ("aliases", [", ".join(found.version.aliases) or "none now", *_history_lines(found)]),
    ):
        branch = tree.add(Text(title, "bold"))
        for line in lines:
            branch.add(line)
    return tree


def _data_lines(data: "Data") -> list[str]:
    kind = ", drawn" if data.synthetic else ""
    return [f"data.dvc {data.version}{kind}", *(f"{name} {digest[:12]}" for name, digest in data.files.items())]


def _validation_lines(origin: "Origin") -> list[str]:
    found = origin.validation
    return [
        f"{found.images:,} images fit to learn from, {found.quarantined} in quarantine",
        f"expectations {found.expectations_sha256[:12]}",
    ]


def _split_lines(origin: "Origin") -> list[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in origin.split.images.items())
    prepare = origin.pipeline.get("prepare")
    made = prepare.outputs.get("artifacts/dataset", "not in dvc.lock") if prepare else "not in dvc.lock"
    return [f"{counts}; seed {origin.split.seed}", f"artifacts/dataset {made}"]


def _code_lines(origin: "Origin") -> list[str]:
    code = origin.code
    lines = [f"commit {code.commit or 'none: there was none'}"]
    if code.changed:
        lines.append(f"changed and not committed: {', '.join(code.changed)}")
    if code.left_out:
        lines.append(f"of these not kept, because they may hold secrets or are too large: {', '.join(code.left_out)}")
    return [*lines, f"requirements.lock {(origin.requirements_sha256 or 'none')[:12]}"]


def _model_lines(origin: "Origin") -> list[str]:
    training, machine = origin.training, origin.machine
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    recipe = training.get("recipe", training.get("model"))  # Releases up to 0.2 called it the model.
    instructions = [name for name in machine.instructions if name.startswith(("avx", "fma", "amx", "sve"))]
    return [
        f"{recipe}, seed {training['seed']}, {training['epochs']} epochs, "
        f"validation accuracy {training['validation_accuracy']:.2%}",
        *_start_lines(training.get("start_from")),
        *_backbone_lines(training.get("backbone")),
        f"model.keras {origin.model_sha256[:12]}",
        f"on {machine.processor}, {machine.cpus} CPUs, {machine.system}",
        f"instructions {' '.join(instructions) or 'not known'}",
        f"Python {machine.python}, {packages}",
        *(f"{name}={value}" for name, value in machine.variables.items()),
    ]


def _start_lines(start: Mapping[str, Any] | None) -> list[str]:
    if not start:
        return []
    new = f"; at random: {', '.join(start['new'])}" if start["new"] else ""
    return [f"started from {start['version']}, {start['sha256'][:12]}; taken: {', '.join(start['taken'])}{new}"]


def _backbone_lines(backbone: Mapping[str, Any] | None) -> list[str]:
    if not backbone:
        return []
    accuracy = backbone["head"]["validation_accuracy"]
    return [f"on {backbone['name']}, {backbone['sha256'][:12]}; its head alone: validation accuracy {accuracy:.2%}"]


def _gate_lines(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    from fashion.evaluation.gates import PASSED, gate_from_dict

    if any("verdict" not in check for check in checks):  # Registered when values were compared, not intervals.
        failed = [check for check in checks if not check["passed"]]
        lines = [f"failed: {check['name']} is {check['value']:.6g}, limit {check['limit']:.6g}" for check in failed]
        return lines or [f"all {len(checks)} passed"]
    gate = gate_from_dict({"checks": checks})
    return [gate.count, *(f"{check}: {check.outcome}" for check in gate.checks if check.verdict != PASSED)]


def _history_lines(found: "Lineage") -> list[str]:
    return [f"{change.time[:16].replace('T', ' ')} {change.action}: {change}" for change in found.history]


def _print_reproduction(made: "Reproduction") -> None:
    table = Table("figure", f"version {made.version}", "made again", "difference")
    for figure in made.figures:
        table.add_row(*_cells(figure))
    console.print(table)
    litert = "the same bytes" if made.same_litert else "other bytes"
    if made.identical:
        console.print(
            f"The weights are identical, bit by bit: {made.weights.parts} parts of the model. LiteRT model: {litert}."
        )
        return
    console.print(
        f"The weights differ: {len(made.weights.different)} of {made.weights.parts} parts of the model, one weight by "
        f"up to {made.weights.largest_difference:.3g}. LiteRT model: {litert}."
    )
    for cause in made.causes:
        console.print(f"- {cause}", highlight=False)
    if not made.causes:
        console.print("Nothing that was written down explains it: code, data, libraries and processor are the same.")


def _cells(figure: "Figure") -> tuple[str, ...]:
    then, now = (("none" if value is None else f"{value:.6g}") for value in (figure.version, figure.remade))
    if figure.version is None or figure.remade is None:
        return figure.name, then, now, ""
    gap = figure.remade - figure.version
    return figure.name, then, now, f"{gap:+.3g}" if gap else "none"
