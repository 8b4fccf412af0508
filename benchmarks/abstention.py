"""How often a model abstains where it should not, and where it should; writes benchmarks/abstention.json and .md.

    dvc repro && python -m benchmarks.abstention

The model is the exported one in artifacts/, with the reference that `fashion evaluate` has written. Nothing here chose
a limit: limits come from the validation images, and the nonsense is drawn with another seed than the gate's. Then the
rule is fitted to validation images of two kinds, as they are after a retraining on images that look different.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.results import ROOT, paragraphs, save, table, take_no_arguments
from fashion.adapters import litert
from fashion.adapters.decoding import read_pictures
from fashion.arrays import Booleans, Bytes, Floats
from fashion.errors import DataError
from fashion.evaluation.abstention import EXPLANATIONS, Abstention, fit_abstention, reasons
from fashion.evaluation.estimates import proportion_of
from fashion.images.corruptions import corrupt
from fashion.images.nonsense import draw_nonsense
from fashion.images.photos import Form, form_of, see
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.dataset import load_split
from fashion.stages.reference import read_reference

EMOJI = ROOT.parent / "shared" / "data" / "emoji" / "test"
"""Pictures of other things, in folders; without them their row is left out."""
SEED, COUNT = 1, 200
SECOND_KINDS = {"rotation": (3, 150), "inversion": (5, 3000)}
"""How severe, and how many of the validation images: the last ones, as collected images come after all others."""


def main() -> None:
    take_no_arguments(__doc__)
    project = Project(ROOT)
    rule = read_reference(project.evaluation).abstention
    test, params = load_split(project, "test"), load_params(project.params)
    form, quantile = form_of(params.data), params.evaluate.abstention.distance_quantile
    random = np.random.default_rng(SEED)
    garments = test.images[random.choice(len(test.images), COUNT, replace=False)]
    groups = {
        "test images": (np.asarray(test.images), np.zeros(len(test.images), np.bool_)),
        "test images photographed on a plain wall": bring(photograph(garments, wall, random), form),
        "test images photographed on striped wood": bring(photograph(garments, wood, random), form),
        **draw_nonsense(COUNT, form, SEED),
    }
    if EMOJI.is_dir():
        files = sorted(EMOJI.rglob("*.png"))
        groups["emoji"] = bring([picture.pixels for file in files for picture in read_pictures(file)], form)
    results = {
        "groups": [measure(project, rule, name, *group) for name, group in groups.items()],
        "kinds": [measure_kinds(project, quantile, corruption, form) for corruption in SECOND_KINDS],
    }
    save(__file__, results, render(results))


def measure(project: Project, rule: Abstention, name: str, images: Bytes, cluttered: Booleans) -> dict[str, Any]:
    """The shares of the images (n, height, width) without an answer: by the embedding alone, in all, and by reason."""
    outputs = litert.predict(project.export / "model.tflite", images)
    alone = reasons(replace(rule, appearance=None), images, outputs)
    found = reasons(rule, images, outputs, cluttered)
    shares = {reason: found.count(reason) / len(found) for reason in EXPLANATIONS}
    return {
        "images": name,
        "n": len(found),
        "by_embedding": 1 - alone.count(None) / len(found),
        "abstained": 1 - found.count(None) / len(found),
        **shares,
    }


def measure_kinds(project: Project, quantile: float, corruption: str, form: Form) -> dict[str, Any]:
    """Fit the rule, without a limit of confidence, to validation images the last of which are corrupted."""
    test, validation = (load_split(project, split).images for split in ("test", "validation"))
    severity, count = SECOND_KINDS[corruption]
    random = np.random.default_rng(SEED)
    known = np.concatenate([validation[:-count], corrupt(corruption, severity, validation[-count:], random)])
    embeddings = litert.predict(project.export / "model.tflite", known).embedding
    rule = fit_abstention(known, embeddings, quantile, confidence_limit=0)
    nonsense = draw_nonsense(COUNT, form, SEED)
    groups = {
        "first": test,
        "second": corrupt(corruption, severity, test[: 10 * COUNT], random),
        "nonsense": np.concatenate([drawn for name, (drawn, _) in nonsense.items() if name.endswith("images")]),
    }
    found = {
        name: measure(project, rule, name, images, np.zeros(len(images), np.bool_)) for name, images in groups.items()
    }
    return {"known": f"{len(known) - count:,}, and {count:,} after {corruption}, severity {severity}", **found}


def photograph(
    images: Bytes, ground: Callable[[np.random.Generator], Floats], random: np.random.Generator
) -> list[Bytes]:
    """Each object, dark and in colour, in the middle of a picture of 300 x 300 pixels."""
    pictures = []
    for image in images:
        large = np.asarray(Image.fromarray(image[..., 0]).resize((220, 220), Image.Resampling.LANCZOS))
        light = np.pad(large, 40).astype(np.float64)[..., None]
        colour = random.uniform(0.4, 1, 3)
        picture = np.where(light > 25, (200 - 0.7 * light) * colour, ground(random))
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    return pictures


def wall(random: np.random.Generator) -> Floats:
    """Bright, darker to one side, a little noisy: (300, 300, 3)."""
    shade = 235 * np.linspace(random.uniform(0.8, 1), 1, 300)[None, :, None]
    return shade + random.normal(0, 4, (300, 300, 3))


def wood(random: np.random.Generator) -> Floats:
    """Brown boards with a grain: (300, 300, 3)."""
    down, across = np.mgrid[:300, :300]
    grain = np.sin(2 * np.pi * across / random.uniform(15, 50) + 0.6 * np.sin(down / 40))
    boards: Floats = (130 + 35 * grain + random.normal(0, 6, (300, 300)))[..., None] * np.array([1.1, 0.85, 0.6])
    return boards


def bring(pictures: list[Bytes], form: Form) -> tuple[Bytes, Booleans]:
    """Those in which something stands out, as a model of that form sees them, and which of them are cluttered."""
    seen = []
    for picture in pictures:
        with suppress(DataError):
            seen.append(see(picture, form))
    return np.stack([one.image for one in seen]), np.array([one.cluttered for one in seen])


def render(results: dict[str, Any]) -> str:
    """Return the tables that docs/decisions/0027 quotes."""
    heads = ["images", "n", "abstained by confidence and embedding alone", "abstained", *EXPLANATIONS]
    kinds = [
        "validation images",
        "unlike: test images",
        "test images, corrupted likewise",
        "noise and textures, images",
    ]
    shares = [
        [row["known"], *(share(row[name]) for name in ("first", "second", "nonsense"))] for row in results["kinds"]
    ]
    return paragraphs(table(heads, map(cells, results["groups"])), table(kinds, shares))


def cells(row: dict[str, Any]) -> list[str]:
    shares = (f"{row[name]:.1%}" for name in ("by_embedding", "abstained", *EXPLANATIONS))
    return [row["images"], f"{row['n']:,}", *shares]


def share(row: dict[str, Any]) -> str:
    found = proportion_of(round(row["abstained"] * row["n"]), row["n"])
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}, n = {found.n:,})"


if __name__ == "__main__":
    main()
