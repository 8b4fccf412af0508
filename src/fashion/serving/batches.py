"""The threads that run a model. Images that arrive while they are busy are answered together."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.litert import Session
from fashion.arrays import Booleans, Bytes
from fashion.evaluation.abstention import Abstention, reasons

MOST_AT_ONCE = 32
"""Images in a batch, unless one request has more; in larger batches they would only wait for each other."""


@dataclass(frozen=True)
class Answers:
    """What a model says about images (n, height, width, channels), one row each.

    Probabilities (n, classes), embeddings (n, d), and why the model abstains, or None.
    """

    images: Bytes
    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    reasons: list[str | None]

    def part(self, chosen: slice) -> "Answers":
        return Answers(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True)
class _Question:
    images: Bytes
    cluttered: Booleans
    answer: asyncio.Future[Answers]


class Batches:
    """One thread per session. Use it from one event loop, and close it."""

    def __init__(self, sessions: Sequence[Session], rule: Abstention | None) -> None:
        self._rule = rule
        self._questions: SimpleQueue[_Question | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(session,), name="model", daemon=True) for session in sessions
        ]
        for thread in self._threads:
            thread.start()

    async def ask(self, images: Bytes, cluttered: Booleans) -> Answers:
        """Return the model's answers for images (n, height, width, channels) of its form, n at least 1.

        Args:
            cluttered: (n,), whether the picture that became the image shows more than one object on a plain background.
        """
        question = _Question(images, cluttered, asyncio.get_running_loop().create_future())
        self._questions.put(question)
        return await question.answer

    def close(self) -> None:
        """Let the threads end once all earlier questions are answered."""
        for _ in self._threads:
            self._questions.put(None)

    def _work(self, session: Session) -> None:
        going_on = True
        while going_on:
            questions, going_on = self._collect()
            if questions:
                self._answer(session, questions)

    def _collect(self) -> tuple[list[_Question], bool]:
        """Take at least one question, and those already waiting; False with the last ones."""
        questions: list[_Question] = []
        images = 0
        while not questions or images < MOST_AT_ONCE:
            try:
                question = self._questions.get(block=not questions)
            except Empty:
                break
            if question is None:
                return questions, False
            questions.append(question)
            images += len(question.images)
        return questions, True

    def _answer(self, session: Session, questions: list[_Question]) -> None:
        loop = questions[0].answer.get_loop()
        try:
            images = np.concatenate([question.images for question in questions])
            found = self._run(session, images, np.concatenate([question.cluttered for question in questions]))
        except Exception as error:  # noqa: BLE001, the callers get it, and the thread goes on
            loop.call_soon_threadsafe(_fail, questions, error)
        else:
            loop.call_soon_threadsafe(_deliver, questions, found)

    def _run(self, session: Session, images: Bytes, cluttered: Booleans) -> Answers:
        outputs = session.run(images)
        found = reasons(self._rule, images, outputs, cluttered)
        return Answers(images, outputs.probabilities, outputs.embedding, found)


def _deliver(questions: list[_Question], found: Answers) -> None:
    start = 0
    for question in questions:
        end = start + len(question.images)
        if not question.answer.done():
            question.answer.set_result(found.part(slice(start, end)))
        start = end


def _fail(questions: list[_Question], error: Exception) -> None:
    for question in questions:
        if not question.answer.done():
            question.answer.set_exception(error)
