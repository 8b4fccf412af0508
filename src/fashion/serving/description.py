"""What FastAPI cannot tell of the API by itself: bodies that are read by hand, the key, examples."""

from collections.abc import Callable
from typing import Any

from fashion.serving.limits import KEY_HEADER, OPEN
from fashion.serving.requests import FIELD, FORM, JSON, Arrays, Feedback

_PICTURES = {
    "type": "object",
    "required": [FIELD],
    "additionalProperties": False,
    "properties": {
        FIELD: {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "Pictures of one object each, on a plain background.",
        }
    },
}
_EXAMPLE_IMAGE = [[0] * 28] * 4 + [[0] * 8 + [200] * 12 + [0] * 8] * 20 + [[0] * 28] * 4
_EXAMPLE_FEEDBACK = {"prediction_id": "019a6f2c-7d41-7a3b-9c55-1f0e2d3c4b5a", "label": "Coat", "source": "user"}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


PREDICT_BODY = _body(
    {
        FORM: {"schema": _PICTURES},
        JSON: {
            "schema": Arrays.model_json_schema(),
            "examples": {"a bright block": {"value": {"images": [_EXAMPLE_IMAGE]}}},
        },
    }
)
FEEDBACK_BODY = _body(
    {JSON: {"schema": Feedback.model_json_schema(), "examples": {"a coat": {"value": _EXAMPLE_FEEDBACK}}}}
)


def secured(describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The description with the key that all but the open paths ask for."""

    def described() -> dict[str, Any]:
        content = describe()
        schemes = content["components"].setdefault("securitySchemes", {})
        schemes["key"] = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        for path, operations in content["paths"].items():
            if path not in OPEN:
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
        return content

    return described
