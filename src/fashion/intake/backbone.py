"""The weights of a backbone that a user brings become data, and a recipe is built on them.

They are copied into data/backbones, which data.dvc pins, so that they are pushed, pulled, and brought back for a
reproduction with the images. What is written last, and holds, is params.yaml.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion.adapters.git import check_repository
from fashion.adapters.versioning.pinning import changing_data, check_whole, pin
from fashion.errors import DataError, ParamsError
from fashion.params import Backbone, BackboneName, Params, Recipe
from fashion.params.editing import edit, read_as
from fashion.paths import Project
from fashion.stages.backbone import advise, read_backbone
from fashion.stages.restoring import find_file
from fashion.storage import atomic_file, file_digest, keep_only, write_text, writing_explained

NAME = r"[\w.-]{1,64}"
EPOCHS, BATCH_SIZE, LEARNING_RATE = 5, 64, 0.0001
"""Of fine-tuning, with Adam: a tenth of its usual rate, as large steps would spoil what the backbone knows."""


@dataclass(frozen=True)
class Built:
    """The recipe that is in use now, and how many weights were read for it."""

    name: str
    backbone: Backbone
    weights: int


def take_weights(project: Project, params: Params, backbone: BackboneName, file: Path | None, name: str) -> Built:
    """Copy the weights of a backbone to data/backbones, pin them, and put a recipe that uses them to use.

    The recipe keeps augmentation and class weights of the one in use so far. If there is one of this name, only its
    backbone changes. Call it within the training slot: no training may be using data/.

    Args:
        file: that with the weights; None, or one that is not there: the error says where it is published.
        name: of the recipe.

    Raises:
        ArtifactError: the file is damaged, or has the weights of another network.
        DataError: there is no such file, or it has another ending; data/ lacks the images, or cannot be written to.
        DiskError: the disk is full.
        GitError: the project is not in a git repository.
        ParamsError: there is a recipe of this name with another network, or params.yaml cannot be edited.
        ServiceError: DVC could not pin the file.
    """
    check_repository(project)
    if file is None or not file.is_file():
        what = "No file with the weights was named" if file is None else f"There is no file {file}"
        raise DataError(f"{what}; {advise(backbone)}")
    if file.suffix != ".h5":  # By which Keras tells that it is a file of weights.
        raise DataError(f"{file} is not a file of weights: expected a name that ends in .h5; {advise(backbone)}")
    for image_file in params.data.files:  # Without them, data.dvc would know them no more.
        find_file(project, image_file)
    check_whole(project, params)
    weights = read_backbone(backbone, file).count_params()
    digest = file_digest(file)
    path = project.backbones / f"{backbone}-{digest[:16]}{_ending(file)}"
    wanted = Backbone(name=backbone, path=path.relative_to(project.root).as_posix(), sha256=digest)
    recipe = _recipe(params, name, wanted)
    text = _edited(project, params, name, recipe)
    with writing_explained(project.data), changing_data(project):
        with atomic_file(path) as temporary:
            shutil.copyfile(file, temporary)
        # DVC's cache still has what a version was made of.
        used = [one.backbone for one in (*params.train.recipes.values(), recipe) if one.backbone]
        keep_only(project.backbones, [project.root / one.path for one in used])
        pin(project)
        write_text(project.params, text)
    return Built(name, wanted, weights)


def _ending(file: Path) -> str:
    """Return the ending by which Keras tells its own format from the older one, in which it publishes weights."""
    return ".weights.h5" if file.name.endswith(".weights.h5") else ".h5"


def _recipe(params: Params, name: str, backbone: Backbone) -> Recipe:
    if not re.fullmatch(NAME, name):
        raise ParamsError(f"{name!r} cannot be the name of a recipe: letters, digits, and . _ - are allowed, up to 64")
    known = params.train.recipes.get(name)
    if known is None:
        return Recipe(
            network="pretrained",
            backbone=backbone,
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            optimizer="adam",
            learning_rate=LEARNING_RATE,
            schedule="one_cycle",
            class_weights=params.train.chosen.class_weights,
            augmentation=params.train.chosen.augmentation,
        )
    if known.backbone is None:
        raise ParamsError(
            f"The recipe {name} has the network {known.network}, not pretrained; name another one with --recipe"
        )
    kept = backbone.model_copy(update={"head_epochs": known.backbone.head_epochs})
    return known.model_copy(update={"backbone": kept})


def _edited(project: Project, params: Params, name: str, recipe: Recipe) -> str:
    """Return the text of params.yaml with this recipe in use, and all else as it is.

    Raises:
        ParamsError: the text would say something else, as it may be written in unforeseen ways.
    """
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    changes: dict[tuple[str, ...], Any] = {("train", "recipe"): name}
    if name in params.train.recipes:
        changes["train", "recipes", name, "backbone"] = content["backbone"]
    else:
        changes["train", "recipes", name] = content
    text = edit(project.params.read_text(encoding="utf-8"), changes)
    recipes = {**params.train.recipes, name: recipe}
    train = params.train.model_copy(update={"recipe": name, "recipes": recipes})
    if read_as(project.params, text) != params.model_copy(update={"train": train}):
        raise ParamsError(
            f"{project.params} is formatted in a way that cannot be edited; write this recipe there yourself, as "
            f"train.recipes.{name}: {content}"
        )
    return text
