"""The model card of a version, and the description of the model: what people read in the registry.

Source: M. Mitchell and others, Model Cards for Model Reporting, FAT* 2019, figure 1, whose sections it has. It says
what is known from files; what nobody has stated is said to be not stated, with the place to state it.
"""

from collections.abc import Sequence

from fashion.adapters.tracking.versions import LONGEST_DESCRIPTION
from fashion.evaluation.gates import Check, Gate
from fashion.images.photos import Form
from fashion.registry.origin import Origin
from fashion.text import escape_markdown, markdown_table

RECALL = "recall of "
LONGEST_NAMES = 500
"""In characters: the names of the classes in a sentence. There may be 256 of up to 100 characters each."""
STATE_IT = "What is not stated can be written here, with Edit beside Description: a description is never overwritten."


def describe_model(classes: Sequence[str], form: Form) -> str:
    """Return what is true of every version: what goes in, what comes out, and what the aliases mean."""
    return (
        f"Tells {_form(form)} of {len(classes)} classes apart: {_names(classes)}.\n\n"
        "The alias `champion` marks the version that `fashion serve` answers with, `challenger` one that was not "
        "promoted. Each version has a model card, and the file `lineage.json` among the artifacts of its run."
    )


def model_card(origin: Origin, classes: Sequence[str], form: Form, gate: Gate | None) -> str:
    """Return the card as Markdown, no longer than MLflow accepts: if necessary, with fewer classes in its table.

    Args:
        form: of the images.
        gate: the version's gates; None where they were registered before gates had intervals.
    """
    checks = gate.checks if gate else ()
    recalls = sorted((check for check in checks if check.name.startswith(RECALL)), key=lambda check: check.value)
    others = [check for check in checks if not check.name.startswith(RECALL)]
    use = f"To tell {_form(form)} of {len(classes)} classes apart: {_names(classes)}."
    shown = len(recalls)
    while len(card := _card(origin, use, _analyses(others, recalls, shown))) > LONGEST_DESCRIPTION and shown:
        shown -= 1
    return card[:LONGEST_DESCRIPTION]


def _card(origin: Origin, use: str, analyses: str) -> str:
    sections = {
        "Model details": _details(origin),
        "Intended use": f"{use} By whom and for what: not stated.",
        "Factors": "The true class. The data record no others, such as devices, places or people.",
        "Metrics": "Accuracy; the recall of each class; the calibration error, corrected for its bias; the share of "
        "generated noise and textures on which the model abstains. Intervals are 95 %, of recalls jointly.",
        "Evaluation data": _evaluation(origin),
        "Training data": _training(origin),
        "Quantitative analyses": analyses,
        "Ethical considerations": "Not stated.",
        "Caveats and recommendations": _caveats(origin),
    }
    text = "\n\n".join(f"### {heading}\n\n{content}" for heading, content in sections.items())
    return f"{_headline(origin)}\n\n{text}"


def _headline(origin: Origin) -> str:
    """The first line is all that a list of versions shows."""
    figures = origin.metrics
    interval = f"95 % interval {figures['accuracy_low']:.2%} to {figures['accuracy_high']:.2%}"
    drawn = "; drawn images, not real ones" if origin.data.synthetic else ""
    return f"Accuracy {figures['accuracy']:.2%} on {figures['images']:,} test images ({interval}){drawn}"


def _details(origin: Origin) -> str:
    training, code = origin.training, origin.code
    changes = " with changes" if code.dirty else ""
    commit = f"the commit {code.commit}{changes}" if code.commit else "code that is in no commit"
    return (
        f"Network {escape_markdown(origin.network)} with {training['parameters']:,} parameters, recipe "
        f"{escape_markdown(origin.recipe)}, seed {training['seed']}, {training['epochs']} epochs; probabilities "
        f"calibrated by the temperature {training['temperature']:.3f}. {_start(origin)}"
        f"{_backbone(origin)}Made from {commit}. Licence, contact: not stated."
    )


def _start(origin: Origin) -> str:
    start = origin.training.get("start_from")
    return f"Started with weights of {escape_markdown(start['version'])}. " if start else ""


def _backbone(origin: Origin) -> str:
    backbone = origin.training.get("backbone")
    if not backbone:
        return ""
    return f"Built on {backbone['name']} with the weights of SHA-256 {backbone['sha256']}, fine-tuned. "


def _evaluation(origin: Origin) -> str:
    recent = origin.metrics.get("recent_images", 0)
    newer = f" Also {recent:,} images collected in use, whose labels were requested at random." if recent else ""
    return f"All {origin.split.images['test']:,} images of the test set, none of which was trained on.{newer}"


def _training(origin: Origin) -> str:
    images, split = origin.split.images, origin.validation
    return (
        f"{images['train']:,} images to learn from, {images['validation']:,} for calibration and choices; "
        f"{split.quarantined:,} of {split.images:,} quarantined. Version of the data: {origin.data.version}."
    )


def _analyses(checks: Sequence[Check], recalls: Sequence[Check], shown: int) -> str:
    if not checks:
        return "Of its gates no intervals were kept; its figures are those above."
    return f"{markdown_table([check.row() for check in checks])}\n\n{_recalls(recalls, shown)}"


def _recalls(recalls: Sequence[Check], shown: int) -> str:
    """Return a table of the classes with the lowest recall first, and how many are left out."""
    rows = [
        {"class": check.name.removeprefix(RECALL), "recall": f"{check.value:.3f}", "interval": check.interval}
        for check in recalls[:shown]
    ]
    left = len(recalls) - shown
    said = f"\n\n{left} more classes with recalls from {recalls[shown].value:.3f} up are left out." if left else ""
    return f"{markdown_table(rows) if rows else ''}{said}".strip()


def _caveats(origin: Origin) -> str:
    figures = origin.metrics
    drawn = "It learned from drawn images: nothing here holds for real ones. " if origin.data.synthetic else ""
    abstained = f" ({figures['abstained']:.1%} of the test images)" if "abstained" in figures else ""
    return (
        f"{drawn}The figures hold for images like those of the test set; `fashion monitor` says when images in use are "
        f"not. Where the model abstains{abstained}, let a person decide.\n\n{STATE_IT}"
    )


def _form(form: Form) -> str:
    height, width, channels = form.shape
    return f"{'colour' if channels > 1 else 'grey'} images of {height} x {width} pixels"


def _names(classes: Sequence[str]) -> str:
    """Return the names of the classes, as many as fit."""
    chosen: list[str] = []
    for name in map(escape_markdown, classes):
        if sum(map(len, chosen)) + len(name) > LONGEST_NAMES:
            break
        chosen.append(name)
    left = len(classes) - len(chosen)
    return f"{', '.join(chosen)}{f' and {left} more' if left else ''}"
