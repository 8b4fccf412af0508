"""Writing the winner of a search into params.yaml, as a recipe of its own, with every comment kept."""

from itertools import count
from typing import Any

from fashion.adapters.studies import open_study, study_names
from fashion.errors import ParamsError
from fashion.experiments.results import WINNER, name_found_from
from fashion.experiments.tune import in_use, place_of, start_of
from fashion.experiments.wording import as_yaml
from fashion.params import Params, Recipe
from fashion.params.editing import edit, read_as
from fashion.paths import Project
from fashion.storage import write_text


def adopt(project: Project, params: Params, study: str) -> str:
    """Add the winner of the study to params.yaml, choose it as the recipe in use, and return its name.

    Raises:
        ParamsError: there is no such study, or it has no winner, perhaps not yet; or the recipe in use, or what
            trainings start from, is another one since, so that nobody knows whether the winner is better.
    """
    recipe = _winner(project, params, study)
    name = _name(params, recipe)
    changed = _edited(project.params.read_text(encoding="utf-8"), params, name, recipe)
    expected = params.train.model_copy(update={"recipe": name, "recipes": {**params.train.recipes, name: recipe}})
    _check(project, changed, params.model_copy(update={"train": expected}), name, recipe)
    write_text(project.params, changed)
    return name


def _winner(project: Project, params: Params, study: str) -> Recipe:
    """Return the recipe that the study found, if it is known to be better than the one in use."""
    about, winner = _found(project, params, study)
    recipe = Recipe.model_validate(winner["recipe"])
    is_in_use = about["recipe"] == in_use(params)
    if not is_in_use or about.get("start") != start_of(params):
        changed = "train.start_from" if is_in_use else "the recipe in use"
        raise ParamsError(
            f"params.yaml has changed since: the study {study} compared with {about['recipe']['name']} as it was then, "
            f"and {changed} is another now, or was not noted. Go back to that one, or write the winner in by hand:\n"
            f"{as_yaml(_name(params, recipe), recipe)}"
        )
    return recipe


def _found(project: Project, params: Params, study: str) -> tuple[Any, Any]:
    """Return what the study was begun with, and its winner."""
    place = place_of(project, study)
    if study not in (names := study_names(place)):
        raise ParamsError(
            f"There is no study {study}; there are: {', '.join(names)}"
            if names
            else "No search has begun yet. Begin one with: fashion tune"
        )
    with open_study(place, params.train.seed, params.tune.pruned_before) as opened:
        about, notes = opened.about, opened.notes
    if WINNER not in notes:
        raise ParamsError(
            f"The study {study} has not been compared with the recipe in use yet, so there is nothing to apply. Let it "
            "end: type the same command without --apply"
        )
    if not (winner := notes[WINNER]):
        raise ParamsError(
            f"The study {study} has no recipe that was shown to be better than the one in use, so there is nothing to "
            f"apply. What it found: artifacts/tuning/{study}/summary.md."
        )
    return about, winner


def _name(params: Params, recipe: Recipe) -> str:
    """Return a name that is free, or under which this very recipe is there."""
    base = name_found_from(params.train.recipe)
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
