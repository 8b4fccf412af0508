"""What a learning curve is measured for: a recipe, numbers of training images, seeds.

Every size takes as nearly the same number of steps as whole epochs allow: an epoch of fewer images repeats them as
often as they go into all. So what one size gains over another is due to the images, not to steps. docs/tuning.md says
what else was considered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fashion.errors import ParamsError
from fashion.images.subsets import repeats_of
from fashion.model.steps import Steps, count_steps
from fashion.params import Params, Recipe, problem_of_size
from fashion.paths import Project
from fashion.stages.dataset import load_split

HALVINGS = 4
"""Sizes besides all images, if nothing is said: each half of the one before."""
FEWEST_PER_CLASS = 10
"""Images, below which no size is chosen unless somebody asks for it."""
MOST_SIZES = 20


@dataclass(frozen=True)
class Subject:
    """What is trained on how many images, with which seeds."""

    name: str
    """Of the recipe."""
    recipe: Recipe
    images: int
    """Training images that there are."""
    validated: int
    """Validation images, on which accuracy is measured."""
    classes: int
    sizes: tuple[int, ...]
    """Ascending."""
    seeds: tuple[int, ...]

    @property
    def trainings(self) -> list[tuple[int, int]]:
        """Size and seed of each, all sizes with one seed before the next seed: a stop leaves a curve."""
        return [(size, seed) for seed in self.seeds for size in self.sizes]

    def recipe_for(self, size: int) -> Recipe:
        """Return the recipe with the epochs in which that many images take about as many steps as all of them."""
        per_epoch = repeats_of(self.images, size) * size
        wanted = count_steps(self.recipe, self.images, self.classes).total
        each = count_steps(self.recipe, per_epoch, self.classes).each_epoch
        return self.recipe.model_copy(update={"epochs": max(1, round(wanted / each))})

    def steps_for(self, size: int) -> Steps:
        return count_steps(self.recipe_for(size), repeats_of(self.images, size) * size, self.classes)


def choose_subject(
    project: Project, params: Params, name: str | None, sizes: Sequence[int] | None, seeds: int
) -> Subject:
    """Return what is to be trained, after checking that it can be.

    Args:
        name: of the recipe; None: the one in use.
        sizes: numbers of training images; None: all, and half of them again and again.
        seeds: how many.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        ParamsError: there is no such recipe, it takes larger images alone, or a size is impossible.
    """
    name = name or params.train.recipe
    if name not in params.train.recipes:
        raise ParamsError(f"--recipe {name}: not one of the recipes in params.yaml ({', '.join(params.train.recipes)})")
    recipe = params.train.recipes[name]
    if problem := problem_of_size(recipe.network, params.data.image_size):
        raise ParamsError(f"--recipe {name}: {problem}, and data.image_size is smaller. Name another recipe")
    images, validated = (len(load_split(project, split).labels) for split in ("train", "validation"))
    classes = len(params.data.classes)
    chosen = _check_sizes(sizes, images, classes) if sizes is not None else _usual_sizes(images, classes)
    numbers = tuple((params.train.seed + number) % 2**32 for number in range(seeds))
    return Subject(name, recipe, images, validated, classes, chosen, numbers)


def _usual_sizes(images: int, classes: int) -> tuple[int, ...]:
    halved = [images // 2**halvings for halvings in range(HALVINGS + 1)]
    sizes = tuple(size for size in reversed(halved) if size >= FEWEST_PER_CLASS * classes)
    if len(sizes) < 2:
        raise ParamsError(
            f"There are {images:,} training images in {classes} classes: too few to halve them, with at least "
            f"{FEWEST_PER_CLASS} of each class. Name sizes yourself: --sizes {max(classes, images // 2)},{images}"
        )
    return sizes


def _check_sizes(sizes: Sequence[int], images: int, classes: int) -> tuple[int, ...]:
    unique = tuple(sorted(set(sizes)))
    if not 2 <= len(unique) <= MOST_SIZES:
        raise ParamsError(f"--sizes: expected 2 to {MOST_SIZES} different sizes, found {len(unique)}")
    if unique[-1] > images:
        raise ParamsError(
            f"--sizes: {unique[-1]:,} is more than there are: {images:,} training images. Add images, or ask for fewer"
        )
    if unique[0] < classes:
        raise ParamsError(
            f"--sizes: {unique[0]:,} is fewer than the {classes} classes, of which each needs an image. Ask for at "
            f"least {classes}"
        )
    return unique
