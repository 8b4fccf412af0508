"""The steps from data to a registered model: one command a stage."""

from typing import TYPE_CHECKING, Annotated

import typer

from fashion.cli.terminal import console, download_bars, gate_table, in_turn, judgement_table, progress_bar, start
from fashion.importing import heavy_imports
from fashion.locks import one_at_a_time

if TYPE_CHECKING:
    from fashion.registry.judgement import Judgement

app = typer.Typer()


@app.command(epilog="Example: fashion fetch --synthetic --images 6000 --test-images 1000 --seed 1")
def fetch(
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Draw garments instead, for machines without a network and for trials.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files in data/ that are not the expected ones.")
    ] = False,
    images: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Training images to draw, 60,000 by default; only with --synthetic."),
    ] = None,
    test_images: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Test images to draw, 10,000 by default; only with --synthetic."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the drawing, 0 by default; only with --synthetic.")
    ] = None,
) -> None:
    """Bring the dataset into data/, each file checked by its SHA-256, and pin it in data.dvc.

    Sources are tried in the order of params.yaml (data.sources), or of FASHION_DATA_SOURCES, separated by commas: `dvc`
    (the default DVC remote), a folder, or an address. An interrupted download resumes where it stopped. Waits for a
    running training.
    """
    asked = {"images": images, "test_images": test_images, "seed": seed}
    drawing = {name: number for name, number in asked.items() if number is not None}
    if drawing and not synthetic:
        raise typer.BadParameter("--images, --test-images and --seed need it", param_hint="--synthetic")
    project, _ = start()
    from fashion.stages.fetch import Drawing, draw_data
    from fashion.stages.fetch import fetch as run

    with in_turn(project, "fashion fetch") as params, download_bars() as progress:
        if synthetic:
            fetched = draw_data(project, params, Drawing(**drawing), force)
        else:
            fetched = run(project, params, force, progress)
    for name, origin in fetched.origins.items():
        console.print(f"data/{name}: {origin}")
    if fetched.synthetic:
        console.print("These images are drawn, not real: nothing learned from them holds for real garments.")
    if fetched.pin_changed:
        console.print("data.dvc now pins this version of the data; commit it to git to keep it.")


@app.command(epilog="Example: fashion validate")
def validate() -> None:
    """Check every image against the suites in expectations/; writes artifacts/validation/.

    Bad images go into quarantine and are left out of training; too many of them, or a breach of what must
    hold, is an error.
    """
    project, params = start()
    with heavy_imports():
        from fashion.stages.validate import validate as run

    with one_at_a_time(project, "validate"):
        summary = run(project, params)
    console.print(
        f"{summary.images:,} images are fit to learn from: {summary.quarantined} in quarantine, "
        f"{summary.reported_in_test} reported in the test set. See artifacts/validation/summary.md"
    )


@app.command(epilog="Example: fashion prepare")
def prepare() -> None:
    """Split the training images into training and validation; the test set stays whole. Writes artifacts/dataset/."""
    project, params = start()
    from fashion.stages.prepare import prepare as run

    with one_at_a_time(project, "prepare"):
        prepared = run(project, params)
    console.print(", ".join(f"{name}: {count:,} images" for name, count in prepared.images.items()))


@app.command(epilog="Example: fashion train")
def train() -> None:
    """Train with the recipe named in params.yaml (train.recipe) and calibrate it; writes artifacts/model/.

    Live curves go to MLflow. To try another network, edit params.yaml and run `dvc repro`.
    """
    project, params = start()
    with heavy_imports():
        from fashion.stages.train import train as run
    with one_at_a_time(project, "train"), progress_bar(f"training {params.train.recipe}") as advance:
        summary = run(project, params, advance)
    console.print(
        f"{summary.recipe}: {summary.parameters:,} parameters, {summary.epochs} epochs in {summary.seconds:.1f} s, "
        f"validation accuracy {summary.validation_accuracy:.2%}, temperature {summary.temperature:.3f}"
    )


@app.command(epilog="Example: fashion evaluate")
def evaluate() -> None:
    """Measure the model on every test image; writes artifacts/evaluation/ with figures, pictures and gates."""
    project, params = start()
    with heavy_imports():
        from fashion.evaluation.estimates import percentage
        from fashion.stages.evaluate import evaluate as run
    with one_at_a_time(project, "evaluate"):
        evaluation = run(project, params)
    console.print(f"accuracy {percentage(evaluation.accuracy)}")
    console.print(f"on corrupted images {percentage(evaluation.corrupted)}")
    console.print("by corruption, and on dark and other slices: artifacts/evaluation/robustness.json")
    console.print(gate_table(evaluation.gate))


@app.command(epilog="Example: fashion export")
def export() -> None:
    """Write the model as SavedModel, LiteRT (float, int8) and ONNX, each compared with the Keras model."""
    project, params = start()
    with heavy_imports():
        from fashion.stages.export import export as run
    with one_at_a_time(project, "export"):
        summary = run(project, params)
    for name, size in summary.sizes.items():
        latency = f", {summary.latencies[name]:.3f} ms an image" if name in summary.latencies else ""
        console.print(f"{name}: {size:,} bytes{latency}")
    console.print(gate_table(summary.gate))


@app.command(epilog="Example: fashion register")
def register() -> None:
    """Register the candidate in MLflow; it becomes champion if it fails no gate and passes the judgement.

    Champion and candidate answer the same test images: the candidate must not be worse beyond the margins of
    params.yaml (register.judgement), and be better in at least one objective. A tie changes nothing.

    Repeating it is safe: the same artifacts make no second version.
    """
    project, params = start()
    with heavy_imports():
        from fashion.registry.register import register as run
    with one_at_a_time(project, "register"):
        registration = run(project, params)
    known = "" if registration.created else " (these artifacts were registered before)"
    console.print(f"{registration.name} version {registration.version}{known}: {registration.verdict}")
    console.print(f"because {registration.reason}", highlight=False)
    if registration.judgement and registration.judgement.champion:
        _print_judgement(registration.judgement)
    if registration.absence:
        console.print(registration.absence, highlight=False)
    elif registration.approval == "awaited":
        console.print(f"To make it the champion: fashion promote {registration.version} --reason '...'")


def _print_judgement(judgement: "Judgement") -> None:
    from fashion.registry.wording import summary

    console.print(judgement_table(judgement))
    console.print(f"{summary(judgement)} More: .state/judgement/judgement.md", highlight=False)
