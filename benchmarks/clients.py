"""The clients of `benchmarks.soak`: of every kind, good and bad, each in a closed loop with a pause of its own."""

import asyncio
import io
import itertools
import json
import random
import struct
import time
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.raw_http import read_answer, request, to_json
from fashion.images.grey import without_channel

ON_THE_WAY = 1.0
"""Seconds beyond a deadline that an answer may take to get here: clients and service share two cores."""
PROMISES: dict[str, tuple[float, set[int]]] = {
    "arrays": (5.0, {200}),
    "many arrays": (5.0, {200}),
    "pictures": (35.0, {200, 503}),
    "broken files": (35.0, {400, 413, 415, 422}),
    "bombs": (35.0, {200, 422, 503}),
    "feedback": (10.0, {200, 404, 503}),
    "feedback on unknown ids": (10.0, {404, 503}),
    "trickling bodies": (60.0, {408}),
    "state": (5.0, {200}),
    "refresh": (30.0, {200, 503}),
    "flood": (30.0, {200, 503}),
}
"""Seconds until the answer and its statuses, by kind: what docs/decisions/0030 promises for bodies, the log and the
registry; for a picture, and for what may be one until it is read, the half minute until its turn, and its decoding; for
the rest five seconds, since it waits for nobody."""
BOUNDARY = "a-boundary-of-the-soak"
RECENT = 1000
"""Predictions from which those are drawn that get feedback."""


@dataclass
class Notes:
    """What came back."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    answered: set[str] = field(default_factory=set)
    """Ids of predictions that came back."""
    taught: set[str] = field(default_factory=set)
    """Those whose label was taken."""
    unknown: set[str] = field(default_factory=set)
    """Those of which the service said that they are not in the log."""
    late: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    ending: bool = False
    """From now on the service may go without an answer."""
    recent: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Id and class."""

    def note(self, kind: str, status: int, seconds: float) -> None:
        self.seconds[kind].append(seconds)
        self.statuses[kind][status] += 1
        deadline, expected = PROMISES[kind]
        if status not in expected and not self.ending:
            self.unexpected.append(f"{kind}: {status}")
        if seconds > deadline + ON_THE_WAY:
            self.late.append(f"{kind}: an answer after {seconds:.1f} s")

    def keep(self, body: bytes) -> None:
        """Remember the predictions of an answer."""
        for prediction in json.loads(body)["predictions"]:
            self.answered.add(prediction["id"])
            self.recent.append((prediction["id"], prediction["predicted"]))


@dataclass
class Clients:
    """Clients of the service at a port of loopback, until they are told to stop."""

    port: int
    images: NDArray[np.uint8]
    """(n, height, width, 1)."""
    notes: Notes = field(default_factory=Notes)
    stopping: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """Some fifty predictions a second on one connection each, and everybody who means no good."""
        one, many = (itertools.cycle(self._requests(count, 200)) for count in (1, 16))
        files = (good_files(self.images), broken_files(self.images), bomb_files())
        pictures, broken, bombs = map(itertools.cycle, files)
        endless = request("POST", "/predict", "application/json", b"[" * 1000)
        return [
            *(self._again(0.2, lambda: self._predict("arrays", next(one))) for _ in range(6)),
            self._again(1, lambda: self._predict("many arrays", next(many))),
            *(self._again(0.5, lambda: self._predict("pictures", next(pictures))) for _ in range(2)),
            self._again(0.25, lambda: self._predict("broken files", next(broken))),
            self._again(5, lambda: self._predict("bombs", next(bombs))),
            *(self._again(0.5, self._teach) for _ in range(2)),
            self._again(2, lambda: self._feedback("feedback on unknown ids", str(uuid4()), "Bag")),
            *(self._again(0.5, lambda: self._leave(next(one))) for _ in range(2)),
            *(self._again(0, lambda: self.ask("trickling bodies", endless, slowly=True)) for _ in range(3)),
            self._again(1, self._look),
        ]

    async def flood(self) -> None:
        """Ask for 256 images at once."""
        await asyncio.gather(*(self._predict("flood", content) for content in self._requests(64, 4)))

    async def refresh(self) -> None:
        await self.ask("refresh", request("POST", "/model/refresh"))

    async def figure(self, name: str) -> int:
        """Return the sum over all labels of one of the service's figures; -1 if it does not answer."""
        found = await self.ask("state", request("GET", "/metrics"))
        lines = found[1].decode().splitlines() if found else []
        values = [line.rpartition(" ")[2] for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return int(sum(map(float, values))) if found else -1

    async def ask(self, kind: str, content: bytes, slowly: bool = False) -> tuple[int, bytes] | None:
        """Send one request on a connection of its own, and note what comes; None if nothing does."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(PROMISES[kind][0] + 10 * ON_THE_WAY):
                status, body = await self._exchange(content, slowly)
        except TimeoutError:
            self.notes.late.append(f"{kind}: no answer")
            return None
        except (OSError, asyncio.IncompleteReadError) as error:
            if not self.notes.ending:
                self.notes.unexpected.append(f"{kind}: {type(error).__name__}")
            return None
        self.notes.note(kind, status, time.monotonic() - start)
        return status, body

    async def _exchange(self, content: bytes, slowly: bool) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sending = asyncio.create_task(send(writer, content, slowly))
        try:
            return await read_answer(reader)
        finally:
            sending.cancel()
            writer.close()

    async def _again(self, pause: float, ask: Callable[[], Awaitable[object]]) -> None:
        while not self.stopping:
            start = time.monotonic()
            await ask()
            await asyncio.sleep(max(0.01, start + pause - time.monotonic()))

    def _requests(self, count: int, most: int) -> list[bytes]:
        """Return at most so many requests, each for other images."""
        starts = range(0, min(len(self.images), most * count), count)
        bodies = ({"images": self.images[start : start + count, ..., 0].tolist()} for start in starts)
        return [request("POST", "/predict", "application/json", to_json(body)) for body in bodies]

    async def _predict(self, kind: str, content: bytes) -> None:
        found = await self.ask(kind, content)
        if found is not None and found[0] == 200:
            self.notes.keep(found[1])

    async def _teach(self) -> None:
        if self.notes.recent:
            await self._feedback("feedback", *self.chance.choice(self.notes.recent))

    async def _feedback(self, kind: str, prediction: str, label: str) -> None:
        body = to_json({"prediction_id": prediction, "label": label, "source": "soak"})
        found = await self.ask(kind, request("POST", "/feedback", "application/json", body))
        if found is not None and found[0] == 200:
            self.notes.taught.add(prediction)
        if found is not None and found[0] == 404 and kind == "feedback":
            self.notes.unknown.add(prediction)

    async def _leave(self, content: bytes) -> None:
        """Go away after a part of a request, or after all of it and before the answer."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(content[: self.chance.choice([10, len(content) // 2, len(content)])])
            await writer.drain()
            writer.close()

    async def _look(self) -> None:
        for path in ("/healthz", "/readyz", "/metrics", "/model"):
            await self.ask("state", request("GET", path))


async def send(writer: asyncio.StreamWriter, content: bytes, slowly: bool) -> None:
    """Send a request; if `slowly`, its body a byte a second."""
    at_once = content.index(b"\r\n\r\n") + 4 if slowly else len(content)
    writer.write(content[:at_once])
    for position in range(at_once, len(content)):
        await asyncio.sleep(1)
        writer.write(content[position : position + 1])


def form(*files: bytes) -> bytes:
    """A request with pictures."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'.encode()
    body = b"".join(head + file + b"\r\n" for file in files) + f"--{BOUNDARY}--\r\n".encode()
    return request("POST", "/predict", f"multipart/form-data; boundary={BOUNDARY}", body)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def good_files(images: NDArray[np.uint8]) -> Sequence[bytes]:
    """Test images as pictures of several kinds and sizes."""
    pictures = [Image.fromarray(np.pad(image, 6)).resize((400, 400)) for image in without_channel(images[:50])]
    kinds = itertools.cycle(["PNG", "JPEG", "WEBP", "GIF", "BMP"])
    return [form(encode(picture, kind)) for picture, kind in zip(pictures, kinds, strict=False)]


def broken_files(images: NDArray[np.uint8]) -> Sequence[bytes]:
    """What is no picture, no array, no form, or too large."""
    whole = encode(Image.fromarray(without_channel(images[0])).resize((280, 280)), "PNG")
    too_large = request("POST", "/predict", "application/json", b"").replace(b"Length: 0", b"Length: 99999999")
    arrays = [b"", b"{", b"[" * 5000, to_json({"images": []}), to_json({"images": [[[1, 2], [3, 4]]]})]
    return [
        form(whole[: len(whole) // 2]),
        form(whole[:100] + bytes(100) + whole[200:]),
        form(b"no picture at all"),
        form(b""),
        form(),
        form(*[whole] * 65),
        too_large,
        request("POST", "/predict", "text/plain", b"shirt"),
        *(request("POST", "/predict", "application/json", body) for body in arrays),
    ]


def bomb_files() -> Sequence[bytes]:
    """Small files that claim many pixels: one that may have them, several that may not, and one of a billion."""
    large = encode(Image.new("L", (10_000, 4000), 200), "WEBP", quality=1, method=0)
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return [form(large), form(b"\x89PNG\r\n\x1a\n" + b"".join(packed)), form(large, large, large), form(*[large] * 60)]
