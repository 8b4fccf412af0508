"""What the figures of an exploration say, in sentences; nothing that was not measured."""

from collections.abc import Sequence

import numpy as np

from fashion.images.copies_found import Copies
from fashion.images.near_copies import LONGEST_EDGE
from fashion.images.parts import Parts
from fashion.pages.exploration import Comparison, Explored, Subject, count_labels
from fashion.pages.quarantined import Quarantine

LONGEST_NAME = 40
NAMED = 5
"""The most classes or descriptors that a sentence names."""


def describe_classes(subject: Subject, explored: Explored) -> list[str]:
    """Say which class is largest and smallest, and which parts have no image of which class."""
    counts = explored.statistics.counts.sum(axis=1)
    total, largest, smallest = max(int(counts.sum()), 1), int(counts.argmax()), int(counts.argmin())
    if counts.min() == counts.max():
        found = [f"Every class has the same number of images: {counts[0]:,}."]
    else:
        found = [
            f"The largest class, {short_name(subject.classes[largest])}, has {counts[largest]:,} images "
            f"({counts[largest] / total:.1%}); the smallest, {short_name(subject.classes[smallest])}, has "
            f"{counts[smallest]:,} ({counts[smallest] / total:.1%})."
        ]
    for name in subject.names:
        labels = subject.parts.labels[subject.positions(name)]
        there = count_labels(labels, subject.classes)
        missing = [one for one, count in zip(subject.classes, there, strict=True) if not count]
        if len(labels) and missing:
            found.append(f"{_start(name)}: no image of {_list(missing, 'classes')}.")
    if explored.unknown_labels:
        found.append(
            f"{explored.unknown_labels:,} images have a label that is not a class in params.yaml; pictures by class "
            "leave them out."
        )
    return found


def describe_pixels(subject: Subject, explored: Explored) -> list[str]:
    """Say how bright the classes are, from the histograms of their pixels."""
    pixels = explored.statistics.pixels.sum(axis=1)
    there = np.flatnonzero(pixels.sum(axis=1))
    if not len(there):
        return ["There is no image of any class."]
    means = pixels[there] @ np.arange(pixels.shape[1]) / pixels[there].sum(axis=1)
    black = pixels[there, 0].sum() / pixels[there].sum()
    bright, dark = there[means.argmax()], there[means.argmin()]
    return [
        f"Brightest on average is {short_name(subject.classes[bright])} ({means.max():.0f} of 255), darkest "
        f"{short_name(subject.classes[dark])} ({means.min():.0f}). {black:.0%} of all values are 0."
    ]


def describe_descriptors(explored: Explored) -> list[str]:
    """Say which descriptor tells the classes apart best."""
    (best, share), *_ = explored.by_class.items()
    return [
        f"The classes differ most in {_words(best)}: {share:.0%} of its variance lies between the classes, the rest "
        "within them."
    ]


def describe_embedding(subject: Subject, explored: Explored) -> list[str]:
    """Say how many images are in the plane, and how far neighbours agree."""
    count, agreement = len(explored.embedded), explored.embedding.agreement
    shown = (
        f"{count:,} of {len(subject.parts):,} images, chosen at random," if count < len(subject.parts) else "All images"
    )
    return [
        f"{shown} are shown as points. {agreement:.0%} of them have the label of the image that is most similar to "
        "them, measured by their 50 main components before they were brought into the plane."
    ]


def describe_exact(subject: Subject, copies: Copies, differently: str) -> list[str]:
    """Say how many images are equal, and where."""
    if not copies.images:
        return ["No two images are equal."]
    found = [f"{copies.images:,} images are equal to another one; they form {copies.groups:,} groups."]
    return found + _across(subject, copies, "exact copies") + _two_labels(copies, differently)


def describe_near(subject: Subject, copies: Copies, differently: str) -> list[str]:
    """Say how many images are nearly equal, among how many, and where."""
    found = []
    if copies.compared < len(subject.parts):
        found.append(f"{copies.compared:,} of {len(subject.parts):,} images, chosen at random, were compared.")
    if max(subject.parts.shape[:2]) > LONGEST_EDGE:
        found.append(f"They were compared reduced to at most {LONGEST_EDGE} pixels.")
    if not copies.images:
        return [*found, "No two images are near copies of each other, apart from equal ones."]
    said = f"{copies.images:,} images are near copies of another one; they form {copies.groups:,} groups."
    return [*found, said, *_across(subject, copies, "near copies"), *_two_labels(copies, differently)]


def describe_differences(comparison: Comparison) -> list[str]:
    """Say in what one set of images differs from another by more than chance."""
    sides = f"{_start(comparison.other.name)} and {comparison.one.name}"
    found = []
    for what, rows in (("descriptors", comparison.descriptors), ("shares of classes", comparison.shares)):
        beyond = [_words(row.name) if what == "descriptors" else row.name for row in rows if row.differs]
        if beyond:
            found.append(f"{sides} differ by more than chance in {_list(beyond, what)}.")
        else:
            found.append(f"{sides} differ in {what} no more than by chance.")
    return found


def describe_quarantine(quarantine: Quarantine, subject: Subject) -> list[str]:
    """Say how many images are in quarantine, and for which reason most of them."""
    if not quarantine.count:
        return ["No image is in quarantine."]
    split, reason, count = quarantine.reasons[0]
    return [
        f"{quarantine.count:,} of {len(subject.parts):,} images have a reason not to be learned from; those of the "
        f"test set are reported and kept. The most frequent reason: {reason} ({count:,} in {split})."
    ]


def _across(subject: Subject, copies: Copies, kind: str) -> list[str]:
    """Say how many images of other parts have a copy in the first one."""
    first, *others = subject.names
    of = dict(zip(subject.parts.parts, copies.in_other_part, strict=True))
    counts = {name: sum(of[part] for part in subject.names[name]) for name in others}
    return [
        f"{count:,} {name} are {kind} of {first}." if count else f"None of the {name} is among the {kind} of {first}."
        for name, count in counts.items()
    ]


def _two_labels(copies: Copies, differently: str) -> list[str]:
    if not copies.two_labels:
        return [f"None of them has a copy that is {differently}."]
    return [f"{copies.two_labels:,} of them have a copy that is {differently}."]


def name_part(parts: Parts) -> dict[str, tuple[str, ...]]:
    """Return under which name the parts of a dataset are shown: batches of collected images are one."""
    batches = tuple(name for name in parts.parts if name not in ("train", "test"))
    names = {"training images": ("train",), "test images": ("test",)}
    return names | ({"collected images": batches} if batches else {})


def _list(names: Sequence[str], what: str) -> str:
    shown = ", ".join(short_name(name) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more {what}" if len(names) > NAMED else shown


def short_name(name: str) -> str:
    """Return the name of a class as it stands in a sentence; in full it stands beside its images."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _start(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
