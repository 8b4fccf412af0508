"""What people see of a training: artifacts on Prefect's page, and a few lines on the terminal at its end."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from rich.text import Text

from fashion.cli.terminal import console, gate_table, judgement_table
from fashion.errors import without_secrets
from fashion.evaluation.gates import FAILED, Check
from fashion.pages.links import report_of
from fashion.paths import METRICS, REPORT, SUMMARY, Project
from fashion.reading import read_json
from fashion.registry.gates import read_gate
from fashion.registry.wording import markdown, summary
from fashion.settings import tracking_uri
from fashion.text import escape_markdown, shorten

if TYPE_CHECKING:
    from fashion.pages.report import Report
    from fashion.registry.register import Registration


LARGEST_PICTURE_BYTES = 1 << 20
"""Of a picture of the data that is shown on Prefect's page, too."""


def publish(project: Project, stage: str) -> None:
    """Publish what a stage has to show; of one that failed, too, if it left something."""
    if stage == "validate":
        _publish_validation(project)
    elif stage == "evaluate":
        _publish_pictures(project)
    elif stage == "export":
        _publish_gates(project)


def _publish_validation(project: Project) -> None:
    summary = project.validation / SUMMARY
    if summary.exists():
        create_markdown_artifact(summary.read_text(encoding="utf-8"), key="validation")


def _publish_pictures(project: Project) -> None:
    """Embed the pictures in a page, since Prefect shows no file of this machine."""
    pictures = sorted(project.evaluation.glob("*.png"))
    if pictures:
        shown = "\n\n".join(map(_embed, pictures))
        create_markdown_artifact(shown, key="pictures", description=f"{len(pictures)} pictures")


def publish_exploration(project: Project) -> None:
    """Embed what shows most of the data; the whole page is on this machine."""
    pictures = [project.exploration / f"{name}.png" for name in ("balance", "plane", "plane_images")]
    small = [path for path in pictures if path.exists() and path.stat().st_size <= LARGEST_PICTURE_BYTES]
    page = f"The whole page: `{project.exploration / 'index.html'}`"
    create_markdown_artifact(
        "\n\n".join([page, *map(_embed, small)]), key="exploration", description="What the data look like"
    )


def _publish_gates(project: Project) -> None:
    """Publish each absolute gate with its value, interval, limit and verdict."""
    if (project.export / REPORT).exists():
        gate = read_gate(project)
        create_table_artifact([_row(check) for check in gate.checks], key="gates", description=gate.count)


def publish_judgement(registration: "Registration") -> None:
    """Publish why the new version is what it is, with every figure that was compared."""
    if judgement := registration.judgement:
        heading = f"# {registration.name} version {registration.version} is {registration.verdict}"
        asked = "" if registration.reason == judgement.reason else f"{escape_markdown(registration.reason)}\n\n"
        absence = f"\n## No champion\n\n{escape_markdown(registration.absence)}\n" if registration.absence else ""
        create_markdown_artifact(f"{heading}\n\n{asked}{markdown(judgement)}{absence}", key="judgement")


def publish_report(report: "Report", link: str) -> None:
    """Publish where the report of a version is, with its main figures.

    Args:
        link: to its page in MLflow, as Markdown.
    """
    content = f"{link}, and as a file to open: `{report.path}`\n\n{escape_markdown(report.headline)}"
    create_markdown_artifact(content, key="report", description=report.headline)


def print_summary(project: Project, registration: "Registration") -> None:
    """Print accuracy, gates, version, and where to look next."""
    console.print()
    if registration.approval != "answered":  # While that was waited for, another training may have made other files.
        _print_measurements(project)
    console.print(f"{registration.name} {conclusion(registration)}", style="bold", highlight=False)
    judgement = registration.judgement
    if judgement and judgement.champion:
        console.print(judgement_table(judgement))
        console.print(summary(judgement), highlight=False)
    if registration.absence:
        console.print(f"\n{registration.absence}", style="yellow", highlight=False)
        if _is_synthetic(project):
            where = (
                f"Type fashion commands in {project.root}; edit params.yaml and type make run where you did just now."
            )
            console.print(where, highlight=False)
    if registration.approval == "awaited":
        by_hand = f"To make it the champion: fashion promote {registration.version} --reason '...'. "
        console.print(
            f"Nobody could be asked: no Prefect server answered. {'' if registration.absence else by_hand}"
            "To be asked: make up, then this command again."
        )
    steps = _next_steps(project, registration)
    console.print(f"\n{steps}", highlight=False)


def conclusion(registration: "Registration") -> str:
    """Say which version is what, and why; without the reason where the words about an absent champion give it."""
    reason = shorten(registration.reason)
    said = reason in (registration.absence or "")
    return f"version {registration.version} is {registration.verdict}{'' if said else ': ' + reason}"


def _print_measurements(project: Project) -> None:
    metrics = read_json(project.evaluation / METRICS, "dvc repro evaluate")
    interval = f"95 % interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%}"
    accuracy = Text(f"{metrics['accuracy']:.2%}", "bold")
    console.print("Accuracy", accuracy, f"on {metrics['images']:,} test images ({interval})", highlight=False)
    console.print(gate_table(read_gate(project)))
    if _is_synthetic(project):
        console.print("The images are drawn: nothing here holds for real ones.", style="yellow")


def _is_synthetic(project: Project) -> bool:
    return bool(read_json(project.validation / REPORT, "dvc repro validate")["synthetic"])


def _row(check: Check) -> dict[str, str]:
    row = {name: escape_markdown(text) for name, text in check.row().items()}
    return row | {"verdict": f"**{row['verdict']}**" if check.verdict == FAILED else row["verdict"]}


def _next_steps(project: Project, registration: "Registration") -> str:
    """List files and commands, as they are typed in the project's folder."""
    ask = {"fashion predict IMAGE...": "ask the champion about images of yours"}
    compare = {"fashion models": "every version with its verdict, gates and accuracy"}
    report = report_of(project, registration.name, registration.version).relative_to(project.root).as_posix()
    steps = {
        **({report: "the report of this version, one page"} if (project.root / report).exists() else {}),
        "artifacts/evaluation/": "every picture and prediction; the figures of each class in classification_report.txt",
        ".state/judgement/judgement.md": "why the candidate was or was not promoted",
        "artifacts/validation/summary.md": "what was found in the data",
        **(compare if registration.absence else ask),
        "make up": f"Prefect and MLflow in the browser ({without_secrets(tracking_uri(project))})",
    }
    width = max(map(len, steps))
    return "\n".join(
        [f"Look at, in {project.root}:", *(f"  {name:<{width}}  {meaning}" for name, meaning in steps.items())]
    )


def _embed(picture: Path) -> str:
    """Return a picture with its name as a heading, in Markdown."""
    words = picture.stem.replace("_", " ")
    title = words[:1].upper() + words[1:]
    content = base64.b64encode(picture.read_bytes()).decode()
    return f"## {title}\n\n![{title}](data:image/png;base64,{content})"
