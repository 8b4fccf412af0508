"""Writing the winner of a search into params.yaml, as a recipe of its own, with every comment kept."""

from itertools import count

from fashion.adapters.studies import open_study
from fashion.errors import ParamsError
from fashion.experiments.results import WINNER
from fashion.experiments.tune import place_of, start_of
from fashion.experiments.wording import as_yaml
from fashion.params import Params, Recipe
from fashion.params.editing import edit, read_as
from fashion.paths import Project
from fashion.storage import write_text


def adopt(project: Project, params: Params, study: str) -> str:
    """Add the winner of the study to params.yaml, choose it as the recipe in use, and return its name.

    Raises:
        ParamsError: the study has no winner; or the recipe in use, or what trainings start from, is another one since,
            so that nobody knows whether the winner is better.
    """
    recipe = _winner(project, params, study)
    name = _name(params, recipe)
    changed = _edited(project.params.read_text(encoding="utf-8"), params, name, recipe)
    expected = params.train.model_copy(update={"recipe": name, "recipes": {**params.train.recipes, name: recipe}})
    _check(project, changed, params.model_copy(update={"train": expected}), name, recipe)
    write_text(project.params, changed)
    return name


def _winner(project: Project, params: Params, study: str) -> Recipe:
    with open_study(place_of(project, study), params.train.seed, params.tune.pruned_before) as opened:
        about, winner = opened.about, opened.notes.get(WINNER)
    if not winner:
        raise ParamsError(
            f"The study {study} has no recipe that was shown to be better than the one in use, so there is nothing to "
            f"apply. What it found: artifacts/tuning/{study}/summary.md."
        )
    recipe = Recipe.model_validate(winner["recipe"])
    is_in_use = about["recipe"] == {"name": params.train.recipe, **params.train.chosen.model_dump(mode="json")}
    if not is_in_use or about.get("start") != start_of(params):
        changed = "train.start_from" if is_in_use else "the recipe in use"
        raise ParamsError(
            f"params.yaml has changed since: the study {study} compared with {about['recipe']['name']} as it was then, "
            f"and {changed} is another now. Go back to that one, or write the winner in by hand:\n"
            f"{as_yaml(_name(params, recipe), recipe)}"
        )
    return recipe


def _name(params: Params, recipe: Recipe) -> str:
    """Return a name that is free, or under which this very recipe is there."""
    base = f"{params.train.recipe}-tuned"
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if params.train.recipes.get(name, recipe) == recipe)


def _edited(text: str, params: Params, name: str, recipe: Recipe) -> str:
    """Return the text of params.yaml with that recipe in use, added after the others if it is not there yet."""
    chosen, added = ("train", "recipe"), ("train", "recipes", name)
    if name in params.train.recipes:
        return edit(text, {chosen: name})
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    return edit(text, {chosen: name, added: content}, {added: f"Found by fashion tune, from {params.train.recipe}."})


def _check(project: Project, text: str, expected: Params, name: str, recipe: Recipe) -> None:
    """Refuse a text that does not say exactly what was meant: params.yaml may be written in unforeseen ways."""
    if read_as(project.params, text) != expected:
        raise ParamsError(
            f"{project.params} is written in a way in which a recipe cannot be added without touching the rest. Write "
            f"it below train.recipes yourself, and its name as train.recipe:\n{as_yaml(name, recipe)}"
        )
