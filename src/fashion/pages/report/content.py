"""What the template of the report is filled with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from fashion.adapters.tracking.tags import DATA_VERSION, REASON, VERDICT
from fashion.arrays import Bytes
from fashion.evaluation.gates import PASSED
from fashion.experiments.space import flatten
from fashion.pages.report import charts, figures
from fashion.pages.report.advice import find_improvements, find_limits
from fashion.pages.report.kept import Kept
from fashion.pages.report.mistakes import find_pairs, room_for, thumbnail
from fashion.pages.report.network import Layer, read_layers
from fashion.pages.report.wording import count_of, show_share
from fashion.registry.wording import narrow_rows, summary

SAMPLES = 24
"""Predictions on images of the test set that are shown, chosen at random."""
BINS = 15
"""Of confidence, where the version does not say."""
ACROSS_PAIRS = 10
"""Pairs of classes whose mistakes are unfolded on a screen; on paper all are."""
MOST_ROWS = 40
"""Rows of a table that are unfolded on a screen."""
FITS = {
    "crop": "its middle is cut out to the image's aspect",
    "pad": "it is padded to the image's aspect",
    "stretch": "it is stretched to the image's aspect",
}


def fill(kept: Kept) -> dict[str, Any]:
    """Return everything that `report.html` shows, but its headline."""
    classes, found = kept.classes, kept.predictions
    counts = confusion_matrix(found.labels, found.predicted, labels=range(len(classes)))
    table = figures.class_rows(counts, classes, [one["f1"] for one in kept.metrics["per_class"].values()])
    sureness = figures.sureness(found)
    room = room_for(kept.images)
    pairs = find_pairs(found, classes, room)
    version = kept.lineage.version
    return {
        "title": f"{kept.lineage.name}, version {version.number}",
        "made": datetime.now(UTC),
        "kept": kept,
        "version": version,
        "origin": kept.lineage.origin,
        "data_version": version.tags.get(DATA_VERSION, kept.lineage.origin.data.version),
        "verdict": version.tags.get(VERDICT, "not judged yet"),
        "reason": version.tags.get(REASON, ""),
        "question": _question(kept),
        "examples": _examples(kept),
        "layers": _layers(kept),
        "recipe": _recipe(kept),
        "curves": _curves(kept),
        "checks": _checks(kept),
        "table": table,
        "ranked": sorted((row for row in table if row.recall), key=lambda row: row.recall.value if row.recall else 1),
        "averages": _averages(kept.metrics),
        "confusion": figures.draw_confusion(counts),
        "samples": _samples(kept),
        "pairs": pairs[:room] if room else pairs,
        "pairs_left": len(pairs[room:]) if room else 0,
        "shown": sum(len(pair.shown) for pair in pairs[:room]),
        "sureness": sureness,
        "reliability": _reliability(kept),
        "exports": _exports(kept),
        "judged": narrow_rows(kept.judgement) if kept.judgement else [],
        "judged_summary": summary(kept.judgement) if kept.judgement else "",
        "limits": find_limits(kept, table, f"the test set of data version {kept.lineage.origin.data.version[:12]}"),
        "improvements": find_improvements(kept, table, counts, sureness),
        "thumbnail": thumbnail,
        "count_of": count_of,
        "show_share": show_share,
        "unfolded": ACROSS_PAIRS,
        "most_rows": MOST_ROWS,
    }


def _question(kept: Kept) -> str:
    contract = kept.contract or {}
    pictures = contract.get("pictures", {})
    size = contract.get("image_size")
    colours = "in colour" if pictures.get("channels", 1) == 3 else "in grey"
    image = f"an image of {size[0]} x {size[1]} pixels (height x width) {colours}" if size else "an image"
    asked = f"Which of {len(kept.classes)} classes does {image} show?"
    if not pictures:
        return asked
    if pictures.get("isolate"):
        return f"{asked} Of any other picture, one object is cut out of a plain background and shown bright on black."
    return f"{asked} Any other picture is brought to that size: {FITS.get(pictures.get('fit'), 'as it is')}."


def _examples(kept: Kept) -> list[tuple[str, Bytes]]:
    """Return one image of each class that the model was trained on, where one is kept with the version."""
    if kept.examples is None:
        return []
    numbers, firsts = np.unique(kept.examples.labels, return_index=True)
    return [
        (kept.classes[number], thumbnail(kept.examples.images[first]))
        for number, first in zip(numbers, firsts, strict=True)
        if number < len(kept.classes)
    ]


def _layers(kept: Kept) -> tuple[Layer, ...]:
    if kept.model is None:
        return ()
    try:
        return read_layers(kept.model)
    except (LookupError, TypeError, ValueError) as error:
        kept.gaps.append(f"The layers of its model are in a form that is not known ({error!r}); they are not drawn")
        return ()


def _recipe(kept: Kept) -> list[tuple[str, str]]:
    """Return what was chosen for the training, and how it went, by name."""
    training = kept.lineage.origin.training
    train = kept.words.get("train") or {}
    chosen = (train.get("recipes") or {}).get(train.get("recipe")) or {}
    found = flatten(training) | flatten(chosen)
    digest = found.pop("dataset_sha256", None)
    rounded = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in found.items()
        if value is not None
    }
    lines = [(name.replace("_", " ").replace(".", " "), value) for name, value in rounded.items()]
    return [*lines, ("dataset", f"SHA-256 {str(digest)[:12]}")] if digest else lines


def _curves(kept: Kept) -> list[charts.Chart]:
    history = kept.history
    if history is None or history.empty:
        return []
    epochs = history["epoch"].tolist()
    across = charts.Axis("epoch", min(epochs), max(epochs), step_at_least=1)

    def draw(quantity: str) -> charts.Chart:
        curves = {"training": history[quantity].tolist(), "validation": history[f"validation_{quantity}"].tolist()}
        up = charts.axis_around(quantity, [value for curve in curves.values() for value in curve])
        ends = "; ".join(f"{name} {curve[0]:.4g} to {curve[-1]:.4g}" for name, curve in curves.items())
        series = [charts.Series(name, epochs, curve) for name, curve in curves.items()]
        return charts.draw(f"{quantity.capitalize()} over {count_of(len(epochs), 'epoch')}: {ends}", across, up, series)

    return [draw("loss"), draw("accuracy")]


def _checks(kept: Kept) -> list[dict[str, str]]:
    """Return the gates as rows of a table, those that were not passed first."""
    checks = kept.gate.checks if kept.gate else ()
    shown = [check.row() for check in sorted(checks, key=lambda check: check.verdict == PASSED)]
    return [{"gate": row["gate"], "verdict": row["verdict"], **row} for row in shown]  # In sight on a phone.


def _averages(metrics: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    """Return precision, recall and F1 over all classes with test images: each class alike, and each image alike."""
    of_classes = [one for one in metrics["per_class"].values() if one["support"]]
    weights = [one["support"] for one in of_classes]
    names = ("precision", "recall", "f1")
    macro = [float(np.mean([one[name] for one in of_classes])) for name in names]
    weighted = [float(np.average([one[name] for one in of_classes], weights=weights)) for name in names]
    return [("each class alike", macro), ("each image alike", weighted)]


def _samples(kept: Kept) -> Sequence[int]:
    """Return some rows of the test set, the same ones each time."""
    if kept.images is None:
        return ()
    count = len(kept.predictions.labels)
    return [int(row) for row in np.random.default_rng(0).choice(count, min(SAMPLES, count), replace=False)]


def _reliability(kept: Kept) -> charts.Chart:
    bins = (kept.words.get("evaluate") or {}).get("calibration_bins", BINS)
    found = figures.reliability(kept.predictions, bins)
    confidences = [one.confidence for one in found]
    accuracies = [one.accuracy for one in found]
    across = charts.Axis("confidence", 0.0, 1.0)
    series = charts.Series(
        "accuracy, 95 % interval",
        confidences,
        [one.value for one in accuracies],
        [one.low for one in accuracies],
        [one.high for one in accuracies],
    )
    title = (
        f"Accuracy by confidence, in {count_of(len(found), 'range')} of confidence; on the dashed line both are equal"
    )
    return charts.draw(title, across, charts.Axis("accuracy", 0.0, 1.0), [series], diagonal=True)


def _exports(kept: Kept) -> list[dict[str, str]]:
    """Return each form of the model with its size, its time for one image, and how often it agrees with Keras."""
    if kept.export is None:
        return []
    names = {"keras": "Keras", "saved_model": "SavedModel", "float": "LiteRT", "int8": "LiteRT, int8", "onnx": "ONNX"}
    times = {**kept.export["latency_milliseconds"], "keras": kept.metrics.get("latency_milliseconds")}
    agreements = {check["name"]: check["value"] for check in kept.export["checks"]}
    return [
        {
            "form": names.get(form, form),
            "bytes": f"{size:,}",
            "ms for one image": f"{times[form]:.3f}" if times.get(form) is not None else "",
            "agrees with Keras": f"{agreements[agrees]:.2%}" if (agrees := f"{form}_agreement") in agreements else "",
        }
        for form, size in kept.export["bytes"].items()
    ]
