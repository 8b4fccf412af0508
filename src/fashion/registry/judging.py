"""How `register` comes to its judgement: both models answer the same test images, here and now.

The judgement is kept with the candidate's run in MLflow and, for the last one, in .state/judgement/.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from fashion.adapters import litert, tracking
from fashion.adapters.tracking.tags import ACCURACY, SYNTHETIC_DATA, TEST_SET
from fashion.arrays import LabelledImages
from fashion.errors import ArtifactError, DataError, ServiceError
from fashion.evaluation import paired
from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import (
    Comparison,
    Judgement,
    accept_first,
    add_best,
    add_recent,
    compare,
    judge,
    judgement_from_dict,
    markdown,
    refuse,
)
from fashion.evaluation.survey import Survey
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import LARGEST_ARTIFACT, load_json, read_json
from fashion.registry.promotion import judged_line
from fashion.stages.dataset import RECENT, has_recent, load_split, read_prepared
from fashion.storage import atomic_folder, write_json, write_text

JSON, MARKDOWN = "judgement.json", "judgement.md"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Contestant:
    """A LiteRT model, the form in which a champion answers, and its probabilities (n, classes) by test set."""

    model: Path
    probabilities: dict[str, NDArray[np.float32]]


def judge_candidate(
    registry: tracking.Registry, project: Project, params: Params, version: tracking.Version, gate: Gate
) -> Judgement:
    """The judgement on the artifacts, which are registered as `version`.

    Whatever keeps the champion from being compared is a reason to refuse; it never loses its place unheard.

    Raises:
        ArtifactError: the candidate's own files are missing or damaged.
    """
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    if champion is None:
        return accept_first(gate)
    name = f"version {champion.number}"
    if version.tags[SYNTHETIC_DATA] == "true" and champion.tags.get(SYNTHETIC_DATA) != "true":
        # On drawn images it would win against any model of real ones.
        return refuse(gate, f"it learned from drawn images, the champion, {name}, from real ones")
    splits = {name: load_split(project, name) for name in ("test", *([RECENT] if has_recent(project) else []))}
    ours = _answer(project.export / "model.tflite", splits)
    # Fetched afresh each time: what cannot be loaded from the registry now is no champion to lean on.
    with TemporaryDirectory() as folder:
        try:
            theirs = _answer(_download(registry, project, champion, Path(folder)), splits)
        except (ServiceError, ArtifactError, DataError) as error:
            tracking.check(registry.uri)  # Where MLflow itself is away nothing is said about its champion.
            return refuse(gate, f"the champion, {name}, cannot be compared: {error}")
        if ours.model.read_bytes() == theirs.model.read_bytes():
            return refuse(gate, f"it is the same model as the champion, {name}, byte for byte")
        comparison = _compare(name, splits, ours, theirs, params, _read_survey(project))
    former = _more_accurate(registry, version, champion)
    comparison = _compare_with_best(registry, project, params, comparison, former, splits["test"], ours)
    return judge(gate, comparison, params.register_.judgement)


def _read_survey(project: Project) -> Survey:
    """What `prepare` says of the labels that were asked for. Datasets of earlier code hold none that were."""
    content = read_prepared(project)
    return Survey(**content.get("survey", {"asked": 0, "answered": 0}))


def _answer(model: Path, splits: Mapping[str, LabelledImages]) -> _Contestant:
    """Raises ArtifactError if the model cannot be run, or answers what is no probability."""
    probabilities = {name: litert.predict(model, split.images).probabilities for name, split in splits.items()}
    if not all(np.isfinite(found).all() for found in probabilities.values()):
        raise ArtifactError(f"{model}: expected probabilities, found numbers that are not finite")
    return _Contestant(model, probabilities)


def _compare(
    name: str,
    splits: Mapping[str, LabelledImages],
    ours: _Contestant,
    theirs: _Contestant,
    params: Params,
    survey: Survey,
) -> Comparison:
    confidence, bins = params.register_.judgement.confidence, params.evaluate.calibration_bins
    test, both = splits["test"], (ours, theirs)
    candidate, champion = (one.probabilities["test"] for one in both)
    sizes = [one.model.stat().st_size for one in both]
    times = litert.latencies([one.model for one in both], test.images[:1])
    pairs = {key: _pairs(split, *(one.probabilities[key] for one in both)) for key, split in splits.items()}
    comparison = compare(
        name,
        pairs["test"],
        params.data.classes,
        calibration_error=paired.calibration_difference(test.labels, candidate, champion, bins, confidence),
        size=paired.exact_difference(sizes[0], sizes[1]),
        latency=paired.latency_difference(times[0], times[1], confidence),
        confidence=confidence,
    )
    return add_recent(comparison, pairs[RECENT], survey, confidence) if RECENT in pairs else comparison


def _pairs(split: LabelledImages, candidate: NDArray[np.float32], champion: NDArray[np.float32]) -> paired.Pairs:
    candidate_correct, champion_correct = (one.argmax(axis=1) == split.labels for one in (candidate, champion))
    return paired.count_pairs(split.labels, candidate_correct, champion_correct, candidate.shape[1])


def _more_accurate(
    registry: tracking.Registry, candidate: tracking.Version, champion: tracking.Version
) -> list[tracking.Version]:
    """The former champions that were more accurate than the present one on the candidate's test set, the best first.

    Those that are in the registry no more, or were measured on another test set, say nothing.
    """
    numbers = judged_line(tracking.read_ledger(registry).changes)
    found = [tracking.get_version(registry, number) for number in dict.fromkeys(numbers)]
    test_set = candidate.tags.get(TEST_SET)  # Versions of earlier code do not say.
    known = [version for version in found if version and test_set and version.tags.get(TEST_SET) == test_set]
    best_first = sorted(known, key=lambda version: -float(version.tags[ACCURACY]))
    here = next((place for place, one in enumerate(best_first) if one.number == champion.number), len(best_first))
    return best_first[:here]


def _compare_with_best(
    registry: tracking.Registry,
    project: Project,
    params: Params,
    comparison: Comparison,
    former: Sequence[tracking.Version],
    test: LabelledImages,
    ours: _Contestant,
) -> Comparison:
    """The comparison with that against the best of the former champions beside it, as far as one can still answer."""
    for version in former:
        with TemporaryDirectory() as folder:
            try:
                theirs = _answer(_download(registry, project, version, Path(folder)), {"test": test})
            except (ServiceError, ArtifactError, DataError) as error:
                tracking.check(registry.uri)
                logger.warning("Version %s, a former champion, cannot be compared: %s", version.number, error)
                continue
        pairs = _pairs(test, ours.probabilities["test"], theirs.probabilities["test"])
        return add_best(comparison, f"version {version.number}", pairs, params.register_.judgement.confidence)
    return comparison


def _download(registry: tracking.Registry, project: Project, champion: tracking.Version, folder: Path) -> Path:
    """The champion's LiteRT model.

    Raises:
        DataError: it knows other classes or another image size than the candidate.
        ServiceError: its files are not all there.
    """
    files = tracking.keep_version(registry, champion, folder)
    ours = read_json(project.export / "classes.json", "dvc repro export")
    theirs = {"classes": list(files.classes), "image_size": list(files.image_size)}
    if ours != theirs:
        raise DataError(
            f"it was made for {theirs}, the candidate for {ours}; give the new task a registered model of its own "
            "(register.name in params.yaml)"
        )
    return files.model


def keep_judgement(
    registry: tracking.Registry, project: Project, version: tracking.Version, judgement: Judgement
) -> None:
    """Write .state/judgement/ and put the same files into the version's run."""
    with atomic_folder(project.judgement) as folder:
        write_json(folder / JSON, judgement.to_dict())
        write_text(folder / MARKDOWN, markdown(judgement))
    tracking.log_folder(registry, version, project.judgement, _folder(registry, version))


def look_up_judgement(registry: tracking.Registry, project: Project, version: tracking.Version) -> Judgement | None:
    """What was decided about the version, also into .state/judgement/; none if its run does not tell."""
    with atomic_folder(project.judgement) as folder:
        if not tracking.fetch_folder(registry, version, _folder(registry, version), folder):
            return None
    return _read(project.judgement / JSON, version)


def read_judgement(registry: tracking.Registry, version: tracking.Version) -> Judgement | None:
    """What was decided about the version, whatever the project holds now; none if its run does not tell."""
    with TemporaryDirectory() as folder:
        if not tracking.fetch_folder(registry, version, _folder(registry, version), Path(folder)):
            return None
        return _read(Path(folder) / JSON, version)


def _read(path: Path, version: tracking.Version) -> Judgement | None:
    try:
        return judgement_from_dict(load_json(path, LARGEST_ARTIFACT))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The verdict and its reason stand in the version's tags: nothing has to wait for the figures.
        logger.warning(
            "The figures of the judgement on version %s cannot be read in MLflow (%s)", version.number, error
        )
        return None


def _folder(registry: tracking.Registry, version: tracking.Version) -> str:
    """One run's model may be registered more than once, and under more than one name."""
    return f"judgement/{registry.name}/{version.number}"
