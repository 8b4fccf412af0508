"""The champion's answers for a source of any size: planned, answered shard by shard, and gone on with after a kill."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fashion.adapters.answers import read_note
from fashion.batch.answering import Kept, Model, Tally, Work, answer_shard
from fashion.batch.folder import SUMMARY, check_place, held, shard_name, unpacked_name
from fashion.batch.idx import unpack
from fashion.batch.plan import Header, Plan, make_plan
from fashion.batch.stretches import Images, Stretch
from fashion.errors import DataError, ParamsError
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import Found, fetch_champion
from fashion.settings import SQLITE, load_settings
from fashion.stages.workers import workers
from fashion.storage import write_json

PICTURES_A_SHARD = 1024
"""Some 100 kilobytes of answers; small pictures take a second or less, which is what a kill costs at most."""
AT_WORK = 64
"""Shards that are handed out at a time, to as many threads of a cluster; whoever answers them reads the pictures."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What is to be answered, and where the answers go."""

    source: Path
    output: Path
    pictures_a_shard: int = PICTURES_A_SHARD
    log: str | None = None
    """The address of the prediction log, if the answers go there, too."""


@dataclass(frozen=True)
class Answered:
    """What came of a whole source."""

    model: str
    version: str
    source: str
    shards: int
    known: int
    """Shards that a former run had written."""
    passed_over: Mapping[str, int]
    """How many files are no pictures, by the end of their names."""
    tally: Tally

    @property
    def in_words(self) -> str:
        tally = self.tally
        answers, doubtful = tally.pictures - tally.refused, sum(tally.abstained.values())
        return (
            f"{tally.pictures:,} pictures: {answers:,} answers, of which {doubtful:,} should not be relied on; "
            f"{tally.refused:,} refused"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is written beside the answers, the same for a run that was stopped and for one that was not."""
        content = asdict(self)
        return {name: content[name] for name in ("model", "version", "source", "shards", "passed_over")} | asdict(
            self.tally
        )


def answer(project: Project, params: Params, wanted: Wanted, progress: Progress) -> Answered:
    """Answer every picture of a source with the champion, into shards that are whole or not there.

    Shards that a former run of the same plan has written stay.

    Args:
        progress: is told how many pictures are answered or refused, of how many.

    Raises:
        ParamsError: the workers of a cluster would write into one SQLite file.
        DataError: there are no pictures, the source is damaged, or the folder is not one for these answers.
        ServiceError: MLflow or the cluster is away, a worker of it cannot do the work, or there is no champion.
        ArtifactError: the champion's model is damaged.
        DiskError: the disk is full; what was answered stays.
    """
    check_place(wanted.source, wanted.output)
    if load_settings().executor and (wanted.log or "").startswith(SQLITE):
        raise ParamsError(
            "--log with FASHION_EXECUTOR: the machines of a cluster cannot all write into one SQLite file. Keep the "
            "log in PostgreSQL: FASHION_PREDICTIONS_URL=postgresql://..."
        )
    with workers(read=[wanted.source], written=[project.state, wanted.output]) as found:
        champion = fetch_champion(project, params)
        return answer_with(champion, params.register_.name, wanted, found.executor, progress)


def answer_with(found: Found, name: str, wanted: Wanted, executor: Executor, progress: Progress) -> Answered:
    """Answer as `answer` does, with a version of the registered model of that name.

    Args:
        executor: runs `answer_shard`; whoever does so reads the source, the model and the folder by their paths.
    """
    model = _model(found, name)
    with held(wanted.source, wanted.output):
        plan = make_plan(wanted.output, _header(wanted, found, model))
        (wanted.output / SUMMARY).unlink(missing_ok=True)
        with _unpacked(wanted, plan) as unpacked:
            run = _Run(plan, wanted, model, unpacked, _kept(wanted, plan, found))
            tally = run.answer(executor, progress)
        answered = Answered(
            model.name, model.version, str(wanted.source), plan.shards, run.known, plan.passed_over, tally
        )
        write_json(wanted.output / SUMMARY, answered.to_dict())
    return answered


def _model(found: Found, name: str) -> Model:
    champion = found.champion
    return Model(champion.model.resolve(), name, champion.version, champion.classes, champion.form)


def _kept(wanted: Wanted, plan: Plan, found: Found) -> Kept | None:
    """Return where the answers are logged, too, if they are."""
    begun = datetime.fromtimestamp(plan.path.stat().st_mtime, UTC)
    return Kept(wanted.log, found.version.identity, begun) if wanted.log else None


def _header(wanted: Wanted, found: Found, model: Model) -> Header:
    source = wanted.source.resolve()
    status = source.stat() if source.is_file() else None
    return Header(
        source=str(source),
        model=model.name,
        version=model.version,
        identity=found.version.identity or "",
        pictures_a_shard=wanted.pictures_a_shard,
        logged=wanted.log is not None,
        size=status.st_size if status else 0,
        changed=status.st_mtime_ns if status else 0,
    )


@contextmanager
def _unpacked(wanted: Wanted, plan: Plan) -> Iterator[Mapping[str, Path]]:
    """Unpack the compressed IDX files beside the answers, for the duration of the block."""
    files = {file: wanted.output.resolve() / unpacked_name(number) for number, file in enumerate(plan.compressed)}
    try:
        for file, target in files.items():
            unpack(wanted.source / file, file or wanted.source.name, target)
        yield files
    finally:
        for target in files.values():
            target.unlink(missing_ok=True)


class _Run:
    """What is known while the shards of a plan are answered.

    Args:
        unpacked: the pixels of compressed IDX files, by their places in the source.
    """

    def __init__(
        self, plan: Plan, wanted: Wanted, model: Model, unpacked: Mapping[str, Path], kept: Kept | None
    ) -> None:
        self._plan, self._wanted, self._model, self._unpacked, self._kept = plan, wanted, model, unpacked, kept
        self._tally = Tally()
        self.known = 0

    def answer(self, executor: Executor, progress: Progress) -> Tally:
        """Answer what is not answered yet, and return what came of everything."""
        at_work: set[Future[Tally]] = set()
        progress(0, self._plan.pictures)
        try:
            for work in self._works():
                at_work.add(executor.submit(answer_shard, work))
                if len(at_work) >= AT_WORK:
                    at_work = self._take(at_work, progress)
            while at_work:
                at_work = self._take(at_work, progress)
        except BrokenExecutor as error:
            raise DataError(
                "A process that answers pictures was killed, perhaps because memory ran out. What is answered stays: "
                "the same command again goes on from there"
            ) from error
        finally:
            for future in at_work:
                future.cancel()
        return self._tally

    def _works(self) -> Iterator[Work]:
        """Yield what is to be done, and count what is done."""
        for number, stretch in enumerate(self._plan.stretches()):
            target = self._wanted.output.resolve() / shard_name(number, self._plan.shards)
            if known := _known(target, self._plan.digest):
                self.known += 1
                self._tally = self._tally.plus(known)
            else:
                yield self._work(target, stretch)

    def _work(self, target: Path, stretch: Stretch) -> Work:
        pixels = self._unpacked.get(stretch.file) if isinstance(stretch, Images) else None
        return Work(target, self._wanted.source.resolve(), stretch, pixels, self._model, self._plan.digest, self._kept)

    def _take(self, at_work: set[Future[Tally]], progress: Progress) -> set[Future[Tally]]:
        """Wait until some shards are done, and return the others."""
        done, others = wait(at_work, return_when=FIRST_COMPLETED)
        for future in done:
            self._tally = self._tally.plus(future.result())
        progress(self._tally.pictures, self._plan.pictures)
        return others


def _known(path: Path, plan: str) -> Tally | None:
    """Return what came of a shard that a former run of the same plan wrote; None if there is none."""
    note = read_note(path)
    if note is None or note.get("plan") != plan:
        return None
    tally = note["tally"]
    return Tally(**tally | {"first_refused": tuple(tally["first_refused"])})
