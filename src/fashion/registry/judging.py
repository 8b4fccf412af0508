"""How `register` comes to its judgement: both models answer the same test images, here and now.

The judgement is kept with the candidate's run in MLflow and, for the last one, in .state/judgement/.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from fashion.adapters import tracking
from fashion.adapters.tracking.tags import ACCURACY, SYNTHETIC_DATA, TEST_SET
from fashion.errors import ArtifactError, DataError, ServiceError
from fashion.evaluation.class_names import find_shared
from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import Comparison
from fashion.images.photos import Form
from fashion.params import Params
from fashion.paths import LITERT, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json
from fashion.registry.contest import Contestant, Task, compare_frozen, gather, let_answer, set_task
from fashion.registry.judgement import Judgement, judgement_from_dict
from fashion.registry.origin import read_contract
from fashion.registry.promotion import judged_line
from fashion.registry.wording import accept_first, markdown, refuse, write_judgement
from fashion.storage import atomic_folder, write_json, write_text

JSON, MARKDOWN = "judgement.json", "judgement.md"
FEWEST_SHARED = 2
"""Classes that both models must know: telling one class from itself says nothing."""
NAMED = 5
"""Classes that a message names."""
logger = logging.getLogger(__name__)


def judge_candidate(
    registry: tracking.Registry, project: Project, params: Params, version: tracking.Version, gate: Gate
) -> Judgement:
    """Judge the artifacts, which are registered as `version`.

    If the champion cannot be compared, the candidate is refused: no champion loses its place without a comparison.

    Raises:
        ArtifactError: the candidate's own files are missing, damaged, or about other classes than params.yaml.
        ServiceError: MLflow is away: the judgement has to wait.
    """
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    if champion is None:
        return accept_first(gate)
    name = _name(champion)
    if version.tags[SYNTHETIC_DATA] == "true" and champion.tags.get(SYNTHETIC_DATA) != "true":
        # On drawn images it would win against any model of real ones.
        return refuse(gate, f"it learned from drawn images, the champion, {name}, from real ones")
    task, contract = set_task(project, params), read_contract(project, params)
    ours = let_answer(_name(version), project.export / LITERT, contract.classes, task)
    # Fetched afresh each time: what cannot be loaded from the registry now is no champion to lean on.
    with TemporaryDirectory() as folder:
        fetch = partial(_fetch, registry, contract, Path(folder))
        try:
            theirs = fetch(champion, task)
            if ours.model.read_bytes() == theirs.model.read_bytes():
                return refuse(gate, f"it is the same model as the champion, {name}, byte for byte")
            evidence = gather(task, ours, theirs, params)
        except DataError as error:
            return refuse(gate, f"the champion, {name}, cannot be compared: {error}")
        best = _best(fetch, _more_accurate(registry, version, champion), task, ours, params)
        return write_judgement(gate, replace(evidence, best=best), params.register_.judgement)


def _name(version: tracking.Version) -> str:
    return f"version {version.number}"


def _fetch(
    registry: tracking.Registry,
    contract: tracking.Contract,
    folder: Path,
    version: tracking.Version,
    task: Task,
) -> Contestant:
    """Fetch a version into the folder, and let it answer.

    Args:
        contract: the candidate's.

    Raises:
        DataError: it cannot be compared with the candidate, though MLflow is there.
        ServiceError: MLflow is away, or the store of its files, and nothing can be said about its versions.
    """
    try:
        files = tracking.keep_version(registry, version, folder)
    except ServiceError as error:
        tracking.check(registry.uri)
        if tracking.find_missing(registry, version):
            raise DataError(str(error)) from error
        files = _fetch_again(registry, version, folder)
    _check_comparable(contract, files)
    try:
        return let_answer(_name(version), files.model, files.classes, task)
    except (ServiceError, ArtifactError) as error:
        raise DataError(str(error)) from error


def _fetch_again(registry: tracking.Registry, version: tracking.Version, folder: Path) -> tracking.Champion:
    """Fetch a version whose files are all there: MLflow, or their store, was away for a moment. Or they are damaged."""
    try:
        return tracking.keep_version(registry, version, folder)
    except ServiceError as error:
        tracking.check(registry.uri)
        raise DataError(str(error)) from error


def _more_accurate(
    registry: tracking.Registry, candidate: tracking.Version, champion: tracking.Version
) -> list[tracking.Version]:
    """Return the former champions that were more accurate than the present one on the candidate's test set, best first.

    Those that are no longer in the registry, or were measured on another test set, do not count.
    """
    numbers = judged_line(tracking.read_ledger(registry).changes)
    found = [tracking.get_version(registry, number) for number in dict.fromkeys(numbers)]
    test_set = candidate.tags.get(TEST_SET)  # Versions of earlier code do not say.
    known = [version for version in found if version and test_set and version.tags.get(TEST_SET) == test_set]
    best_first = sorted(known, key=lambda version: -float(version.tags[ACCURACY]))
    here = next((place for place, one in enumerate(best_first) if one.number == champion.number), len(best_first))
    return best_first[:here]


def _best(
    fetch: Callable[[tracking.Version, Task], Contestant],
    former: Iterable[tracking.Version],
    task: Task,
    ours: Contestant,
    params: Params,
) -> Comparison | None:
    """Compare with the first of the former champions that can still answer."""
    for version in former:
        try:
            return compare_frozen(task, ours, fetch(version, task.frozen), params)
        except DataError as error:
            logger.warning("Version %s, a former champion, cannot be compared: %s", version.number, error)
    return None


def _check_comparable(ours: tracking.Contract, theirs: tracking.Champion) -> None:
    """Raise DataError if a version takes other images than the candidate, or hardly any class is known to both."""
    shape, classes = Form(ours.image_size, ours.pictures).shape, find_shared(ours.classes, theirs.classes)
    own = "give the new task a registered model of its own (register.name in params.yaml)"
    if theirs.form.shape != shape:
        raise DataError(f"it takes images of {theirs.form.shape}, the candidate of {shape}; {own}")
    if len(classes.shared) < FEWEST_SHARED:
        raise DataError(
            f"it knows {_listed(theirs.classes)}, the candidate {_listed(ours.classes)}: fewer than {FEWEST_SHARED} "
            f"classes are known to both; {own}"
        )


def _listed(classes: Sequence[str]) -> str:
    return f"{', '.join(classes[:NAMED])}{', ...' if len(classes) > NAMED else ''}"


def keep_judgement(
    registry: tracking.Registry, project: Project, version: tracking.Version, judgement: Judgement
) -> None:
    """Write .state/judgement/ and put the same files into the version's run."""
    with atomic_folder(project.judgement) as folder:
        write_json(folder / JSON, judgement.to_dict())
        write_text(folder / MARKDOWN, markdown(judgement))
    tracking.log_folder(registry, version, project.judgement, _folder(registry, version))


def look_up_judgement(registry: tracking.Registry, project: Project, version: tracking.Version) -> Judgement | None:
    """Return the judgement of the version and copy it to .state/judgement/; None if its run has none."""
    with atomic_folder(project.judgement) as folder:
        if not tracking.fetch_folder(registry, version, _folder(registry, version), folder):
            return None
    return _read(project.judgement / JSON, version)


def read_judgement(registry: tracking.Registry, version: tracking.Version) -> Judgement | None:
    """Return the judgement of the version, whatever the project contains now; None if its run has none."""
    with TemporaryDirectory() as folder:
        if not tracking.fetch_folder(registry, version, _folder(registry, version), Path(folder)):
            return None
        return _read(Path(folder) / JSON, version)


def _read(path: Path, version: tracking.Version) -> Judgement | None:
    try:
        return judgement_from_dict(load_json(path, LARGEST_ARTIFACT_BYTES))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The verdict and its reason stand in the version's tags: nothing has to wait for the figures.
        logger.warning(
            "The figures of the judgement on version %s cannot be read in MLflow (%s)", version.number, error
        )
        return None


def _folder(registry: tracking.Registry, version: tracking.Version) -> str:
    """Return the folder in the version's run, whose model may be registered several times, under several names."""
    return f"judgement/{registry.name}/{version.number}"
