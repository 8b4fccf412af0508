"""Two small projects whose models share a prediction log, and what the machine reads of them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fashion.adapters.predictions import Record, new_id
from fashion.adapters.versioning.pinning import pull_for
from fashion.images.near_copies import group_near_copies
from fashion.images.split import held_out
from fashion.images.synthetic import draw
from fashion.params import load_params
from fashion.stages.dataset import RECENT, has_recent, load_split
from fashion.stages.raw import read_raw, read_salt
from tests.faults.labels import Expected, Limits
from tests.projects import commit, copy_project, edit_params, git, make_small, read_suite, write_suite

MODELS = {"first": ("Bag", "Coat", "Dress"), "second": ("Dress", "Bag", "Shirt")}
"""Names of registered models and of their classes: the same name has another number."""
GONE = "Sandal"
"""A class that a champion still has, and the project does not have any more."""
SIZE = (28, 28)
DRAWN, _ = draw(9, 3, SIZE, seed=11)
MOVED = np.roll(DRAWN[:2], 1, axis=2)
"""Near copies of the first ones, as a camera's next frames are."""
BLANK = np.stack([np.full((*SIZE, 1), shade, np.uint8) for shade in (0, 9)])
IMAGES = np.concatenate([DRAWN, MOVED, BLANK])
GROUPS = {image.tobytes(): int(group) for image, group in zip(IMAGES, group_near_copies(IMAGES), strict=True)}
LIMITS = Limits(at_least=2, at_most=4, divergence=0.6, quarantined=0.02)
"""Images of one class alone are too far from the mix; of the blank ones only the first is borne."""
HELD_OUT = 0.5
ROWS, KL = "expect_table_row_count_to_equal", "expect_column_kl_divergence_to_be_less_than"
SUITES = {
    "images": ("expect_column_values_to_be_in_set",),
    "train": (ROWS,),
    "test": (ROWS,),
    "batch": ("expect_column_values_to_be_in_set", "expect_column_values_to_be_between", KL),
}
"""What is left of the suites: of that for batches what does not need hundreds of images with the right labels, of the
others something, because each takes its time."""


def make_project(folder, name):
    project = copy_project(folder)
    make_small(project, train=45, test=15, classes=3)
    edit_params(
        project,
        {
            "data": {"classes": list(MODELS[name])},
            "register": {"name": name},
            "collect": {"at_least": LIMITS.at_least, "at_most": LIMITS.at_most},
            "prepare": {"recent_test_fraction": HELD_OUT},
            "validate": {"max_quarantined": LIMITS.quarantined},
        },
    )
    for suite, kept in SUITES.items():
        write_suite(project, suite, _shorten(read_suite(project, suite), kept))
    commit(project.root, "Two models, one log")


def _shorten(suite, kept):
    expectations = [one for one in suite["expectations"] if one["type"] in kept]
    for one in expectations:
        if one["type"] == KL:
            one["kwargs"]["threshold"] = LIMITS.divergence
    return suite | {"expectations": expectations}


def is_held_out(project, image):
    """Whether the secret in the project's data puts this image on the side of the test."""
    return bool(held_out(np.frombuffer(image, np.uint8).reshape(1, *SIZE, 1), HELD_OUT, read_salt(project))[0])


@dataclass(frozen=True)
class Candidate:
    """What `validate` and `prepare` have made, and of which data."""

    by_dvc: bool
    data: str
    """The version of data/ that it was made of."""
    files: dict[str, str]


def expect(project, name):
    """The model of what becomes of the labels of a project."""
    raw = read_raw(project, load_params(project.params).data)
    published = frozenset(image.tobytes() for split in raw.values() for image in split.images)
    return Expected(MODELS[name], published, frozenset(image.tobytes() for image in BLANK), LIMITS)


def _pick_image(project, which):
    """One that somebody sends; after those the first of the test set, and of the training set."""
    if which < len(IMAGES):
        return IMAGES[which]
    raw = read_raw(project, load_params(project.params).data)
    return raw["test" if which == len(IMAGES) else "train"].images[0]


def make_record(project, name, which, asked, time):
    """A prediction of a model, which does not know better."""
    return Record(
        id=new_id(),
        time=time,
        model_version="1",
        image=_pick_image(project, which),
        probabilities=np.full(3, 1 / 3, np.float32),
        embedding=np.zeros(4, np.float32),
        reason=None,
        model=name,
        asked=asked,
    )


def read_divided(project, published):
    """The names by which collected images are learned from, and those by which they are tested on."""
    copies = load_params(project.params).prepare.recent_copies
    learned = _read_collected(project, published, ("train", "validation"), {1, copies})
    return learned, _read_collected(project, published, (RECENT,), {1}) if has_recent(project) else {}


def _read_collected(project, published, parts, copies):
    found = Counter()
    for part in parts:
        split = load_split(project, part)
        pairs = ((image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True))
        found.update(pair for pair in pairs if pair[0] not in published)
    assert set(found.values()) <= copies
    classes = load_params(project.params).data.classes
    names = {image: classes[label] for image, label in found}
    assert len(names) == len(found)
    return names


def pull(tree, project, pin):
    """Bring the data of a version into the empty project `tree`."""
    (tree.root / ".dvc").mkdir(parents=True)
    git(tree.root, "init", "--quiet")
    (tree.root / ".dvc" / "config").touch()
    (tree.root / "data.dvc").write_text(pin.to_yaml())
    pull_for(tree, project)
