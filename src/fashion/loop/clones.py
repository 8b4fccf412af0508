"""Several clones that use the same servers: one collects at a time, and none learns from data that are behind.

Digests have no order. What a clone has had is known by its git history: data.dvc as it is, or as it was. So data that
were set back on purpose, in git, are not behind.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

from fashion.adapters import tracking, versioning
from fashion.adapters.git import is_shallow, once_held
from fashion.adapters.predictions import Collection, PredictionLog, collecting, last_collection
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import DATA_VERSION, SYNTHETIC_DATA
from fashion.adapters.versioning.pinning import is_cached
from fashion.errors import DataError, LineageError, ServiceError
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.lineage import look_up_lineage
from fashion.settings import is_shared, predictions_url, tracking_uri
from fashion.stages.batches import newest_batch
from fashion.storage import file_digest

logger = logging.getLogger(__name__)


@contextmanager
def taking_turns(project: Project, params: Params, log: PredictionLog) -> Iterator[None]:
    """Collect labels in the block, after waiting for another clone that does; a log in SQLite has no other.

    Raises:
        DataError: as `check_collected`.
        ServiceError: the log is away, or went away meanwhile.
    """
    clone = _name(project)
    with collecting(log, params.register_.name, clone) as turn:
        if turn is None:
            yield
            return
        last = turn.last()
        check_collected(project, last)
        yield
        newest = newest_batch(project)
        if newest and (last is None or newest != last.batch):
            turn.record(Collection(newest, versioning.data_version(project), clone))


def check_data(project: Project, params: Params) -> None:
    """Check that a training here would learn from what the others have, as far as servers are shared.

    A training needs no prediction log: if that is away, a warning says what was not checked.

    Raises:
        DataError: this clone lacks the batch that was collected last, or the data of the champion.
        ServiceError: MLflow is away.
    """
    if is_shared(predictions_url(project)):
        check_collected(project, _last_collection(project, params))
    if is_shared(tracking_uri(project)):
        _check_champion(project, params)


def check_collected(project: Project, last: Collection | None) -> None:
    """Check that the last collection of labels is in data/ here, was made here, or is in the history of data.dvc.

    Raises:
        DataError: it is not, or data.dvc pins it and it is not in data/.
    """
    if last is None or last.clone == _name(project) or (project.batches / last.batch).is_dir():
        return
    if last.data_version == versioning.data_version(project):
        raise DataError(f"data.dvc pins batch {last.batch}, which is not in data/. Type: dvc pull data.dvc")
    if not _was_pinned(project, last.data_version):
        raise DataError(
            f"The data of this clone are behind: it lacks batch {last.batch}, collected by {last.clone}. "
            f"{_cure(project)}. If that does not bring it, data.dvc has still to be committed and pushed there"
        )


def _last_collection(project: Project, params: Params) -> Collection | None:
    try:
        with closing(PredictionLog(predictions_url(project))) as log:
            return last_collection(log, params.register_.name)
    except ServiceError as error:
        logger.warning("Whether another clone has collected labels that are lacking here was not checked: %s", error)
        return None


def _check_champion(project: Project, params: Params) -> None:
    registry = registry_of(project, params)
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    if champion is None or champion.tags.get(SYNTHETIC_DATA) == "true":
        return  # Nothing that was learned from drawn images has to be learned again.
    wanted, pinned = champion.tags.get(DATA_VERSION), versioning.data_version(project)
    if wanted in (None, pinned) or _was_pinned(project, wanted) or is_cached(project, wanted):
        return
    if _has_files(project, params, champion):
        return  # And more: their data.dvc was overwritten by a later collection before anybody committed it.
    raise DataError(
        f"The data of this clone are behind: champion {champion.number} of {registry.name} learned from data "
        f"{wanted[:8]}, which data.dvc does not pin here and never did; it pins {pinned[:8]}. "
        f"{_cure(project)}. If that does not bring them, data.dvc has still to be committed and pushed where that "
        "version was trained"
    )


def _has_files(project: Project, params: Params, version: tracking.Version) -> bool:
    """Return whether all files that a version has learned from are in data/; no if nothing tells which those are."""
    try:
        files = look_up_lineage(project, params, version.number).origin.data.files
    except LineageError as error:
        logger.warning("Whether the data of the champion are among those here was not checked: %s", error)
        return False
    paths = {project.data / name: digest for name, digest in files.items()}
    return all(path.is_file() and file_digest(path) == digest for path, digest in paths.items())


def _name(project: Project) -> str:
    """Return user@host:folder."""
    return f"{tracking.author()}:{project.root}"


def _cure(project: Project) -> str:
    """Say what brings the data of others; a shallow clone may have newer ones, and not know of theirs."""
    history = "git fetch --unshallow, then: " if is_shallow(project) else ""
    return f"Type: {history}git pull, then: dvc pull data.dvc"


def _was_pinned(project: Project, version: str) -> bool:
    return once_held(project, project.root / versioning.PIN, version)
