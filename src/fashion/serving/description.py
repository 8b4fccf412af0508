"""What FastAPI cannot derive for the API's description: bodies that are parsed by hand, the key, examples."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from fashion.images.photos import Form
from fashion.serving.limits import KEY_HEADER, NEEDS, OPEN
from fashion.serving.requests import FIELD, FORM, JSON, Arrays, Feedback

MOST_VALUES = 5_000
"""Of the pixels in an example; the description is written for anybody, and nobody else is answered meanwhile."""
_PICTURES = {
    "type": "object",
    "required": [FIELD],
    "additionalProperties": False,
    "properties": {
        FIELD: {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "Pictures; an isolating model expects one object each, on a plain background.",
        }
    },
}


def predict_body(form: Form) -> dict[str, Any]:
    """Describe the body of /predict, with a bright bar as an example if images are small."""
    arrays = {"schema": Arrays.model_json_schema()}
    if math.prod(form.shape) <= MOST_VALUES:
        arrays["examples"] = {"a bright bar": {"value": {FIELD: [_bright_bar(form)]}}}
    return _body({FORM: {"schema": _PICTURES}, JSON: arrays})


def _bright_bar(form: Form) -> list[Any]:
    height, width, channels = form.shape
    row = [200 * (abs(2 * column - width) < width // 2) for column in range(width)]
    return [row if channels == 1 else [[value] * channels for value in row]] * height


def feedback_body(label: str) -> dict[str, Any]:
    """Describe the body of /feedback, with a correction to `label` as an example."""
    value = {"prediction_id": "019a6f2c-7d41-7a3b-9c55-1f0e2d3c4b5a", "label": label, "source": "user"}
    return _body({JSON: {"schema": Feedback.model_json_schema(), "examples": {"a correction": {"value": value}}}})


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def secured(describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Add to the description the key that all paths but the open ones require, and the right that it must have."""

    @cache  # FastAPI gives the same dictionary each time.
    def described() -> dict[str, Any]:
        content = describe()
        schemes = content["components"].setdefault("securitySchemes", {})
        schemes["key"] = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        for path, operations in content["paths"].items():
            if path not in OPEN:
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
                    if right := NEEDS.get(path):
                        operation["description"] += f"\n\nThe key must have the right `{right.value}`."
        return content

    return described
