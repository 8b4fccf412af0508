"""The service's requests: pictures as a form, arrays as JSON. Anything else gets a 4xx and a reason."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, TypeVar

import numpy as np
from fastapi import HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile

from fashion.adapters.decoding import Picture, claimed_size, read_picture, readable_name
from fashion.adapters.keeping import encode_picture
from fashion.arrays import Booleans, Bytes, Shape
from fashion.errors import DataError
from fashion.images import photos
from fashion.images.photos import Form
from fashion.serving.decoding import PATIENCE_SECONDS, Pictures
from fashion.serving.limits import Limits

FIELD = "images"
JSON, FORM = "application/json", "multipart/form-data"
GONE = "the caller has disconnected"
NO_ROOM = "the service has no room for a picture of more than 1 MB: its temporary folder is full or missing"
ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""A prediction's id."""
Pixel = Annotated[int, Field(ge=0, le=255)]
Content = TypeVar("Content", bound=BaseModel)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sent:
    """What a request contains, n images."""

    images: Bytes
    """(n, height, width, channels), as a model takes them."""
    cluttered: Booleans
    """(n,), which of them come from cluttered pictures."""
    pictures: Sequence[bytes | None]
    """The pictures from which they come, as files to keep; None for arrays, or where pictures are not kept."""


class Arrays(BaseModel):
    """Images in the model's format, row by row: a pixel is a number from 0 (black) to 255, or a list of channels."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[list[list[Pixel | list[Pixel]]]], Field(min_length=1)]


class Feedback(BaseModel):
    """The true label of a prediction's picture. The newest feedback on a prediction counts."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: Annotated[str, Field(pattern=ID, description="As returned by /predict.")]
    label: Annotated[str, Field(description="The name of a class of the model, see /model.")]
    source: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9 ._@-]{1,64}$", description="Who gives the label; recorded after the key's name."),
    ] = "user"


class Queue(BaseModel):
    """Which part of the queue of predictions that need a label."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[
        str | None,
        Field(
            pattern=ID, description="The last id of an earlier response; the queue continues after it, labelled or not."
        ),
    ] = None


class PredictionId(BaseModel):
    """Which prediction."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=ID, description="As returned by /wanted.")]


async def read_images(request: Request, form: Form, limits: Limits, pictures: Pictures) -> Sent:
    """Read the images of a request, for a model that takes images of that form. Arrays are never cluttered.

    Raises:
        HTTPException: 400, 408, 413, 415, 422, 499 or 503, with the reason.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        images = _read_arrays(await request.body(), form.shape, limits)
        return Sent(images, np.zeros(len(images), np.bool_), [None] * len(images))
    if kind != FORM:
        raise HTTPException(415, f"expected {FORM} with pictures, or {JSON} with arrays, found {kind or 'neither'}")
    try:
        fields = await request.form(max_files=limits.images, max_fields=limits.images)
    except UnicodeError as error:  # For codecs that are not character sets, such as `punycode`.
        raise HTTPException(400, f"the form is not in the character set that it names: {error}") from error
    except OSError as error:  # Of the temporary file that a picture of more than 1 MB becomes.
        logger.warning("a picture of more than 1 MB cannot be stored in the temporary folder: %s", error)
        raise HTTPException(503, NO_ROOM, {"Retry-After": "5"}) from error
    try:
        files = _named_files(fields.multi_items())
        return await _read_pictures(request, files, form, limits, pictures)
    finally:
        await fields.close()


async def read_json(request: Request, form: type[Content]) -> Content:
    """Read the body as `form`, whatever its content type.

    Raises:
        HTTPException: 422, with the first reason.
    """
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HTTPException(422, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _read_arrays(body: bytes, shape: Shape, limits: Limits) -> Bytes:
    """Read what `Arrays` describes; by hand, because pydantic takes as long for the pixels as the model does."""
    try:
        content = from_json(body)
    except ValueError as error:
        raise HTTPException(422, f"not valid JSON: {error}") from error
    images = content.get(FIELD) if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(images, list) or not 1 <= len(images) <= limits.images:
        raise HTTPException(422, f'expected {{"{FIELD}": [...]}} with 1 to {limits.images} images, and nothing else')
    pixels = b"".join(_read_pixels(image, number, shape) for number, image in enumerate(images))
    return np.frombuffer(pixels, np.uint8).reshape(len(images), *shape)


def _read_pixels(image: Any, number: int, shape: Shape) -> bytes:
    height, width, channels = shape
    rows = image if isinstance(image, list) and len(image) == height else []
    if not rows or any(not isinstance(row, list) or len(row) != width for row in rows):
        raise HTTPException(422, f"{FIELD}.{number}: expected {height} rows of {width} pixels")
    if isinstance(rows[0][0], list) or channels > 1:
        pixels = [pixel for row in rows for pixel in row]
        if any(not isinstance(pixel, list) or len(pixel) != channels for pixel in pixels):
            kind = "numbers, or lists of 1 number" if channels == 1 else f"lists of {channels} numbers"
            raise HTTPException(422, f"{FIELD}.{number}: expected pixels that are all {kind}")
        rows = pixels
    try:
        return b"".join(map(bytes, rows))
    except (TypeError, ValueError) as error:
        raise HTTPException(422, f"{FIELD}.{number}: expected pixels that are whole numbers from 0 to 255") from error


def _named_files(items: Sequence[tuple[str, Any]]) -> list[tuple[BinaryIO, str]]:
    """Return each file of a form with a name for error messages."""
    files = [item for name, item in items if name == FIELD and isinstance(item, UploadFile)]
    if not files or len(files) != len(items):
        raise HTTPException(422, f"expected pictures as files in the field {FIELD}, and nothing else")
    return [(file.file, readable_name(file.filename or f"{FIELD}.{number}")) for number, file in enumerate(files)]


async def _read_pictures(
    request: Request,
    files: Sequence[tuple[BinaryIO, str]],
    form: Form,
    limits: Limits,
    pictures: Pictures,
) -> Sent:
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    seen, kept = [], []
    try:
        claims = await pictures.run(_claims, files, limits)
        for (stream, name), claim in zip(files, claims, strict=True):
            async with pictures.room(claim, deadline):
                if await request.is_disconnected():
                    raise HTTPException(499, GONE)
                one, picture = await pictures.run(see, stream, name, form, pictures.kept)
                seen.append(one)
                kept.append(picture)
    except DataError as error:
        raise HTTPException(422, str(error)) from error
    return Sent(np.stack([one.image for one in seen]), np.array([one.cluttered for one in seen]), kept)


def _claims(files: Sequence[tuple[BinaryIO, str]], limits: Limits) -> list[int]:
    """Count the pixels that each picture claims to have.

    Raises:
        DataError: they are too many in total, or one cannot be read.
    """
    claims: list[int] = []
    for stream, name in files:
        claims.append(math.prod(claimed_size(stream, name)))
        if sum(claims) > limits.pixels:
            raise DataError(
                f"{name}: the pictures up to here claim more than {limits.pixels:,} pixels; use several requests"
            )
    return claims


def see(stream: BinaryIO, name: str, form: Form, kept: bool) -> tuple[photos.Seen, bytes | None]:
    """Convert a picture to the model's input, as `fashion predict` does; if it is to be kept, encode it for the log.

    Raises:
        DataError: it cannot be read, or shows nothing.
    """
    picture = read_picture(stream, name, max(form.size))
    try:
        seen = photos.see(picture.pixels, form)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    # Here rather than behind the answer: it takes half a millisecond, and what waits for the log stays small.
    return seen, _encode(picture) if kept else None


def _encode(picture: Picture) -> bytes | None:
    try:
        return encode_picture(picture.pixels)
    except Exception:  # The caller gets the answer all the same.
        logger.exception("%s: the picture cannot be kept", picture.source)
        return None
