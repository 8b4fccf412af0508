"""How requests are refused: the descriptions for OpenAPI, and the handlers."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fashion.errors import ServiceError
from fashion.serving import answers
from fashion.serving.limits import refusal
from fashion.serving.requests import GONE

REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Error, "description": words}
    for status, words in {
        400: "The request is not well-formed.",
        401: "The key is missing or wrong.",
        403: "The key lacks the right, or the request is from a page of another site or not to a loopback address.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        422: "The content cannot be used; the reason says what is wrong, and where.",
        503: "The service is overloaded, or a database or a disk is unavailable; try again later.",
    }.items()
}


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of these refusals."""
    return {status: REFUSED[status] for status in statuses}


async def _explain(request: Request, error: HTTPException) -> JSONResponse:
    return refusal(request.scope, error.status_code, str(error.detail), dict(error.headers or {}))


async def _explain_validation(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return refusal(request.scope, 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


async def _explain_leaving(request: Request, _: ClientDisconnect) -> JSONResponse:
    """Answer although nobody receives it, so that it does not count as an error of ours in the log and the metrics."""
    return refusal(request.scope, 499, GONE)


async def _explain_absence(request: Request, error: ServiceError) -> JSONResponse:
    return refusal(request.scope, 503, str(error), {"Retry-After": "5"})


HANDLERS: dict[int | type[Exception], Any] = {
    HTTPException: _explain,
    RequestValidationError: _explain_validation,
    ServiceError: _explain_absence,
    ClientDisconnect: _explain_leaving,
}
