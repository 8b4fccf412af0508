"""Stored pictures become images of the dataset, on all cores or on a cluster."""

import io
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from functools import partial
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from fashion.adapters.decoding import read_picture, readable_name
from fashion.adapters.shards import NO_BYTES, Stored, in_parts
from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.photos import Form, see
from fashion.stages.workers import workers

WORTHWHILE = 5
"""Parts from which on others are asked: processes take a second to start."""
SHOWN = 3
"""Pictures that cannot be used that a message names."""

Part = TypeVar("Part")
Result = TypeVar("Result")


def see_stored(parts: Iterable[list[Stored]], form: Form) -> Iterator[Bytes]:
    """Yield the images (n, height, width, channels) of all parts, in their order, a few at a time.

    Raises:
        DataError: pictures cannot be used; the message names the first of them, and says how many there are.
    """
    refused: list[str] = []
    image_bytes = math.prod(form.shape)  # Perhaps more than those of the file.
    smaller = (few for part in parts for few in in_parts(part, lambda one: len(one.content or b"") + image_bytes))
    for images, reasons in on_all_workers(partial(_see_part, form=form), smaller):
        refused += reasons
        if not refused:
            yield images
    if refused:
        rest = [f"and {len(refused) - SHOWN:,} more"] if len(refused) > SHOWN else []
        raise DataError("; ".join([*refused[:SHOWN], *rest]))


def see_picture(content: bytes, name: str, form: Form) -> Bytes:
    """Return a picture as an image (height, width, channels).

    A picture in the form of an image is one: what was isolated is not isolated once more.

    Raises:
        DataError: it cannot be decoded, or nothing stands out where an object is to be isolated.
    """
    pixels = read_picture(io.BytesIO(content), name, max(form.size)).pixels
    if pixels.reshape(*pixels.shape[:2], -1).shape == form.shape:
        return pixels.reshape(form.shape)
    try:
        return see(pixels, form).image
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def on_all_workers(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield what `work` makes of each part, in their order; a few parts are in memory at a time.

    Args:
        work: a function of a module, perhaps with arguments: processes are given its name.

    Raises:
        DataError: a process was killed.
        ServiceError: the cluster that was asked is away.
    """
    parts = iter(parts)
    first = list(islice(parts, WORTHWHILE))
    if len(first) < WORTHWHILE:
        yield from map(work, first)
        return
    # Neither a name nor `chain`, which keeps its arguments, holds the first parts in memory until all are done.
    parts = chain(iter(first), parts)
    del first
    waiting = deque[Future[Result]]()
    with workers() as found:
        try:
            for part in parts:
                waiting.append(found.executor.submit(work, part))
                if len(waiting) > 2 * found.places:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenExecutor as error:
            raise DataError("A process that decodes pictures was killed, perhaps because memory ran out") from error


def _see_part(part: list[Stored], form: Form) -> tuple[Bytes, list[str]]:
    """Return the images, and why pictures cannot be used; these have no image."""
    images, refused = [], []
    for stored in part:
        name = readable_name(stored.name)
        try:
            if stored.content is None:
                raise DataError(f"{name}: {NO_BYTES}")
            images.append(see_picture(stored.content, name, form))
        except DataError as error:
            refused.append(str(error))
    return np.array(images, np.uint8).reshape(-1, *form.shape), refused
