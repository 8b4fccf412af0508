"""Traffic for a running service, as it is when the world changes. For demonstrations, load and tests."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashion.adapters.client import Reply, Service
from fashion.arrays import LabelledImages
from fashion.errors import DataError, ServiceError
from fashion.evaluation.estimates import Estimate, proportion
from fashion.images.traffic import Change, Traffic, draw_traffic
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.formats.idx import read_labelled_files
from fashion.stages.raw import read_test

AT_ONCE = 64
"""Requests under way; a service that is slower than the rate is not flooded."""
HOPELESS = 20
"""Failures in a row after which nothing more is sent."""
SOURCE = "simulation"
CONFIRMED = 0.04
"""How often people confirm a right answer unasked, as a share of how often they correct a mistake."""


@dataclass(frozen=True)
class Plan:
    """What is sent, and what is said about it afterwards."""

    images: int
    rate: float
    """Images a second."""
    change: Change | None = None
    source: tuple[Path, Path] | None = None
    """Gzipped IDX files of images and of labels to send instead of the test set."""
    label_share: float = 1.0
    """Of the images whose label the service asks for, for which the true class is told."""
    correction_share: float = 0.5
    """Of the mistakes among the others, which are corrected unasked."""
    label_delay: float = 0.0
    """Seconds after the answer."""
    seed: int = 0


@dataclass(frozen=True)
class Simulated:
    """How it went."""

    answered: int
    failed: int
    labelled: int
    seconds: float
    before: Estimate | None
    """Accuracy on the images before the drift set in, and after; none where there were no such answers."""
    after: Estimate | None
    versions: dict[str, int]
    """Answers by the version of the model."""
    trouble: str | None
    """Why the last of the failures failed."""


def simulate(
    project: Project, params: Params, service: Service, plan: Plan, on_answer: Callable[[int, int], None]
) -> Simulated:
    """Send images to a service, by default those of the test set, and give labels back.

    Args:
        service: not yet entered as a context manager.
        on_answer: called with the answers so far and the images there are in all.

    Raises:
        DataError: the images to send are missing or damaged.
        ServiceError: no service answers, or it has failed many times in a row.
    """
    source = plan.source
    given = read_labelled_files(project, params.data, *source) if source else read_test(project, params.data)
    _check_classes(given, params)
    traffic = draw_traffic(given, plan.images, plan.change, plan.seed)
    try:
        return asyncio.run(_Sender(params.data.classes, plan, traffic, on_answer).send(service))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


def _check_classes(given: LabelledImages, params: Params) -> None:
    if (given.labels >= len(params.data.classes)).any():
        raise DataError(f"Expected labels below {len(params.data.classes)} (data.classes), found {given.labels.max()}")


class _Sender:
    """One simulation under way."""

    def __init__(
        self, classes: tuple[str, ...], plan: Plan, traffic: Traffic, on_answer: Callable[[int, int], None]
    ) -> None:
        self._classes, self._plan, self._traffic, self._on_answer = classes, plan, traffic, on_answer
        self._replies: dict[int, Reply] = {}
        self._labelled = self._failed = self._failed_in_a_row = 0
        self._trouble: str | None = None
        self._reluctance = np.random.default_rng(plan.seed + 1).random(plan.images)

    async def send(self, service: Service) -> Simulated:
        start = time.monotonic()
        free = asyncio.Semaphore(AT_ONCE)
        async with service, asyncio.TaskGroup() as tasks:
            for number in range(self._plan.images):
                await asyncio.sleep(max(0.0, start + number / self._plan.rate - time.monotonic()))
                await free.acquire()
                tasks.create_task(self._send_one(service, number, tasks)).add_done_callback(lambda _: free.release())
        return self._summarise(time.monotonic() - start)

    async def _send_one(self, service: Service, number: int, tasks: asyncio.TaskGroup) -> None:
        try:
            reply = await service.predict(self._traffic.images[number])
        except ServiceError as error:
            self._count(error)
            return
        self._failed_in_a_row = 0
        self._replies[number] = reply
        self._on_answer(len(self._replies), self._plan.images)
        if self._reluctance[number] < self._eagerness(number, reply):
            tasks.create_task(self._tell(service, number, reply))

    def _eagerness(self, number: int, reply: Reply) -> float:
        """Return how likely it is that somebody labels an image: because they were asked, or of their own accord."""
        if reply.label_wanted:
            return self._plan.label_share
        mistaken = reply.predicted != self._classes[self._traffic.given[number]]
        return self._plan.correction_share * (1 if mistaken else CONFIRMED)

    async def _tell(self, service: Service, number: int, reply: Reply) -> None:
        await asyncio.sleep(self._plan.label_delay)
        try:
            await service.correct(reply.prediction_id, self._classes[self._traffic.given[number]], SOURCE)
        except ServiceError as error:
            self._count(error)
            return
        self._labelled += 1

    def _count(self, error: ServiceError) -> None:
        """Count a failure; raise it when there is no hope."""
        self._failed += 1
        self._trouble = str(error)
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= HOPELESS or not self._replies:
            raise error

    def _summarise(self, seconds: float) -> Simulated:
        numbers = np.array(sorted(self._replies), dtype=np.int64)
        predicted = np.array([self._replies[number].predicted for number in numbers])
        correct = predicted == np.array(self._classes)[self._traffic.labels[numbers]]
        drifted = self._traffic.drifted[numbers]
        versions = [reply.version for reply in self._replies.values()]
        return Simulated(
            answered=len(numbers),
            failed=self._failed,
            labelled=self._labelled,
            seconds=seconds,
            before=proportion(correct[~drifted]) if (~drifted).any() else None,
            after=proportion(correct[drifted]) if drifted.any() else None,
            versions={version: versions.count(version) for version in sorted(set(versions))},
            trouble=self._trouble,
        )
