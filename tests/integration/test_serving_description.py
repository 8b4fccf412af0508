"""Requests that schemathesis makes up from the OpenAPI description, good ones and bad ones, by whoever may ask."""

import json
from contextlib import ExitStack

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fashion.images.photos import Form
from fashion.params import PicturesParams
from fashion.paths import Project
from fashion.serving.description import predict_body
from fashion.serving.keys import Keys, Right, add_key, keys_file
from fashion.serving.limits import KEY_HEADER, NEEDS, OPEN
from fashion.serving.requests import JSON
from tests.services import make_service, running

KEY = "a key"
ALL, ASKS, STRANGER, KEYLESS = "who may everything", "who may only ask", "without a key", "where no key is needed"
EXAMPLES = {ALL: 25, ASKS: 5, STRANGER: 5, KEYLESS: 5}
"""For each operation; what a key decides is decided before the request is looked at."""
OPERATIONS = (
    "POST /predict",
    "POST /feedback",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /model",
    "POST /model/refresh",
    "GET /samples",
    "GET /wanted",
    "GET /wanted/picture",
    "GET /status",
)


def operations_at(address):
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    return {operation.label: operation for operation in (result.ok() for result in schema.get_all_operations())}


@pytest.fixture(scope="module")
def callers(tmp_path_factory):
    """Of each caller the operations as the service describes them, and the headers of a request."""
    home = Project(tmp_path_factory.mktemp("keys"))
    asks = add_key(home, "asks", [Right.PREDICT])
    with ExitStack() as services:
        keyed = services.enter_context(running(make_service(home.root / "a", keys=Keys(keys_file(home), KEY))))
        keyless = services.enter_context(running(make_service(home.root / "b")))
        with_key, without = operations_at(keyed), operations_at(keyless)
        yield {
            ALL: (with_key, {KEY_HEADER: KEY}),
            ASKS: (with_key, {KEY_HEADER: asks}),
            STRANGER: (with_key, {}),
            KEYLESS: (without, {}),
        }


def refusal(caller, path):
    """The status by which a request is refused for who sends it; None where it is looked at."""
    if path in OPEN or caller in (ALL, KEYLESS):
        return None
    if caller == STRANGER:
        return 401
    return 403 if NEEDS.get(path) not in (None, Right.PREDICT) else None


@pytest.mark.parametrize("caller", [ALL, KEYLESS])
def test_every_operation_is_tried(callers, caller):
    assert set(callers[caller][0]) == set(OPERATIONS)


@pytest.mark.parametrize("key", [KEY, None])
def test_the_description_is_the_same_each_time(tmp_path, key):
    with running(make_service(tmp_path, key=key)) as address:
        first, *others = [httpx.get(f"{address}/openapi.json").text for _ in range(3)]
    assert others == [first, first]
    assert first.count("The key must have the right `predict`.") == (2 if key else 0)


@pytest.mark.parametrize("size", [(28, 28), (1024, 1024)])
def test_the_description_of_any_model_is_short_and_that_of_small_images_has_an_example(size):
    """It is written while nobody else is answered, for everybody."""
    body = predict_body(Form(size, PicturesParams(isolate=False, channels=3, fit="crop", ground=0)))
    assert len(json.dumps(body)) < 50_000
    assert ("examples" in body["requestBody"]["content"][JSON]) == (size == (28, 28))


def example(operation):
    (body,) = [body for body in operation.definition.raw["requestBody"]["content"].values() if "examples" in body]
    (found,) = body["examples"].values()
    return found["value"]


def test_the_examples_are_answered(callers):
    """One of feedback names a prediction that is not there."""
    operations, headers = callers[ALL]
    for label, status in (("POST /predict", 200), ("POST /feedback", 404)):
        operation = operations[label]
        case = operation.Case(body=example(operation), media_type="application/json")
        assert case.call(headers=headers).status_code == status


@pytest.mark.parametrize("caller", EXAMPLES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_described_and_none_is_a_500(callers, label, mode, caller):
    operations, headers = callers[caller]
    operation = operations[label]
    if mode.is_negative and not (operation.body or operation.query):
        pytest.skip("nothing can be wrong about it")
    trials = settings(
        max_examples=EXAMPLES[caller],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    @trials
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        response = case.call(headers=headers)
        # What a class is called, and how large images are, the model knows and the description does not.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])
        # Where something is to be wrong, it may be that the key is missing.
        has_key = response.request.headers.get(KEY_HEADER) == headers.get(KEY_HEADER)
        refused = refusal(caller if has_key else STRANGER, operation.path)
        assert (response.status_code if response.status_code in (401, 403) else None) == refused

    check()
