"""Dask: a cluster that is asked by its address, as an executor of Python's."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from weakref import ref

from distributed import Client, KilledWorker

from fashion.errors import ServiceError

PATIENCE_SECONDS = 10
"""How long a scheduler may take to answer."""
ATTEMPTS = 10
"""To connect."""


class Cluster(Executor):
    """Work that the workers of a cluster do.

    A worker that is lost costs nothing: the scheduler hands its work to another one. Futures raise a BrokenExecutor if
    several workers were lost over the same work, and a ServiceError if the scheduler went away.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        # Not pure: the name of a task is a number, not a digest of what it is given.
        self._workers = client.get_executor(pure=False)

    @property
    def places(self) -> int:
        """How much can be at work at a time: the threads of all workers."""
        return sum(self._client.nthreads().values())

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        outcome: Future[Any] = Future()
        asked = self._workers.submit(work, *given, **named)
        asked.add_done_callback(partial(_hand_on, outcome))
        # Weak: a worker lets go of what it made when that was handed on, not at the next garbage collection here.
        outcome.add_done_callback(partial(_take_back, ref(asked)))
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what is waiting; what is at work ends on its worker, and the workers stay."""
        self._workers.shutdown(wait=wait and not cancel_futures)


@contextmanager
def cluster(address: str, read: Sequence[Path], written: Sequence[Path]) -> Iterator[Cluster]:
    """Yield the workers of the scheduler at an address, after checking that each of them can do the work.

    Args:
        read: files and folders that they must see.
        written: folders, some of which may not be there yet, in which they must see what this process writes.

    Raises:
        ServiceError: the scheduler is away, there is no worker, or one that has another version of this package or
            does not see a path.
    """
    with connect(address, PATIENCE_SECONDS) as client:
        _check_workers(client, address, read, written)
        workers = Cluster(client)
        try:
            yield workers
        finally:
            workers.shutdown(cancel_futures=True)


def connect(address: str, patience_seconds: float) -> Client:
    """Return a client of the scheduler at an address. Raises ServiceError: none answers."""
    for _ in range(ATTEMPTS - 1):
        # A scheduler tells all clients what any of them cancels. One that hears of it with its welcome fails.
        with suppress(AssertionError):
            return _connect(address, patience_seconds)
    return _connect(address, patience_seconds)


def _connect(address: str, patience_seconds: float) -> Client:
    try:
        return Client(address, timeout=patience_seconds, set_as_default=False, name="fashion")
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"No scheduler of Dask answers at {address} (FASHION_EXECUTOR; {type(error).__name__}). Start one: dask "
            "scheduler; or work in processes of this machine, without FASHION_EXECUTOR"
        ) from error
    except (TypeError, RuntimeError) as error:
        raise ServiceError(
            f"{address} (FASHION_EXECUTOR) cannot be asked with the certificates that Dask knows: {error}. "
            "Name them in .state/dask: https://distributed.dask.org/en/stable/tls.html"
        ) from error


def look(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return the version of this package, and which of the paths are not there; on a worker."""
    return version("fashion"), [path for path in paths if not Path(path).exists()]


def _check_workers(client: Client, address: str, read: Sequence[Path], written: Sequence[Path]) -> None:
    with ExitStack() as probes:
        probed = {_probe(folder, probes): folder for folder in written}
        paths = {str(path.resolve()): path for path in read} | probed
        found = client.run(look, list(paths), on_error="return")
    if not found:
        raise ServiceError(f"The scheduler at {address} has no worker. Start some: dask worker {address} --nthreads 1")
    for worker, seen in found.items():
        if isinstance(seen, BaseException):
            raise ServiceError(
                f"The worker {worker} cannot be asked for its version ({type(seen).__name__}: {seen}). Start it in the "
                "environment of this project"
            )
        installed, missing = seen
        _check_worker(worker, installed, missing, paths)


def _check_worker(worker: str, installed: str, missing: list[str], paths: dict[str, Path]) -> None:
    if installed != version("fashion"):
        raise ServiceError(
            f"The worker {worker} has version {installed} of fashion, and this process {version('fashion')}. Start it "
            "again in the environment of this project"
        )
    if missing:
        raise ServiceError(
            f"The worker {worker} does not see {paths[missing[0]]} as this process does. Workers need the project, the "
            "source and the answers under the same paths (docs/cluster.md)"
        )


def _probe(folder: Path, probes: ExitStack) -> str:
    """Return a file in a folder, or in the nearest one above it, that stays until the probes are over."""
    nearest = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    return probes.enter_context(NamedTemporaryFile(prefix=".fashion-probe-", dir=nearest)).name


def _take_back(asked: ref[Future[Any]], _: Future[Any]) -> None:
    """Cancel what nobody waits for any more."""
    if found := asked():
        found.cancel()


def _hand_on(outcome: Future[Any], asked: Future[Any]) -> None:
    """Give what a worker made, or why there is nothing, to whoever waits."""
    if not outcome.set_running_or_notify_cancel():
        return
    if asked.cancelled():
        outcome.set_exception(
            ServiceError("The scheduler of Dask went away. Start it again, and then type the same command again")
        )
    elif error := asked.exception():
        outcome.set_exception(_explain(error))
    else:
        outcome.set_result(asked.result())


def _explain(error: BaseException) -> BaseException:
    return BrokenExecutor(str(error)) if isinstance(error, KilledWorker) else error
