"""The champion in use, and its successor once the registry names one."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from fashion.adapters.litert import Session, check_classes
from fashion.adapters.tracking import Champion
from fashion.arrays import Booleans, Bytes
from fashion.errors import FashionError, ServiceError, without_secrets
from fashion.registry.champion import Found
from fashion.serving.apart import run_apart
from fashion.serving.batches import Answers, Batches
from fashion.stages.reference import read_rule

THREADS = 2
"""Threads that run the model at once, each with its own interpreter."""
LOOK_SECONDS = 10.0
"""Between two queries of the registry, unless somebody requests one."""

logger = logging.getLogger(__name__)


class Served:
    """A champion that is ready to answer. Used by one event loop; once retired, it ends with its last user.

    Raises:
        ArtifactError: its files are damaged, or do not match each other.
    """

    def __init__(self, found: Found) -> None:
        self.champion = found.champion
        self.version = found.version
        self.rule = read_rule(found.champion.model.parent)
        sessions = [Session(self.champion.model, self.champion.form.shape, threads=1) for _ in range(THREADS)]
        for session in sessions:
            _try_out(session, self.champion)
        self._batches = Batches(sessions, self.rule)
        self._users = 0
        self._retired = False

    async def ask(self, images: Bytes, cluttered: Booleans) -> Answers:
        """Return its answers for images, as `Batches.ask` does."""
        return await self._batches.ask(images, cluttered)

    @contextmanager
    def used(self) -> Iterator["Served"]:
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            self._end_if_idle()

    def retire(self) -> None:
        self._retired = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._users:
            self._batches.close()


class Champions:
    """Holds the champion, and looks for its successor."""

    def __init__(self, find: Callable[[], Found], first: Found) -> None:
        """Begin with one champion. Raises ArtifactError like `Served`; `find` may raise FashionError, after seconds."""
        self._find = find
        self.current = Served(first)
        self.trouble = first.trouble
        """Why the version in use may not be the champion; None if the last query succeeded."""
        self.registry_up = first.trouble is None or first.absent
        """Whether the registry answered the last query, whatever the result."""
        self.swaps = 0
        self._looking = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        """A query that has not begun yet."""

    async def watch(self) -> None:
        """Query the registry again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Switch to the champion that the registry names now; if that fails, the current one stays.

        Calls during a query share the next one, since the current one may have read the registry already.
        """
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._take_turn())
        await asyncio.shield(self._next)

    async def _take_turn(self) -> None:
        async with self._looking:
            self._next = None
            await self._look()

    async def _look(self) -> None:
        try:
            found = await run_apart(self._find)
            # Without the registry there is only what was remembered, perhaps an older one.
            if found.trouble is None and found.version.identity != self.current.version.identity:
                self._swap(await run_apart(partial(Served, found)))
            trouble, registry_up = found.trouble, found.trouble is None or found.absent
        except FashionError as error:
            trouble, registry_up = str(error), not isinstance(error, ServiceError)
        except Exception as error:  # The champion goes on answering, whatever a library raises.
            logger.exception("Looking for the champion failed")
            trouble, registry_up = without_secrets(f"{type(error).__name__}: {error}"), False
        if trouble and trouble != self.trouble:
            logger.warning("Version %s stays in use: %s", self.current.version.number, trouble)
        self.trouble, self.registry_up = trouble, registry_up

    def _swap(self, successor: Served) -> None:
        previous, self.current = self.current, successor
        previous.retire()
        self.swaps += 1
        logger.info("Version %s replaced version %s", successor.version.number, previous.version.number)


def _try_out(session: Session, champion: Champion) -> None:
    """Run a session once: the first call allocates memory, and its output must match the classes."""
    found = session.run(np.zeros((1, *champion.form.shape), np.uint8))
    check_classes(champion.model, found.probabilities, champion.classes, champion.version)
