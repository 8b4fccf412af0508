"""Requests that schemathesis makes up from the OpenAPI description, good ones and bad ones."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.services import make_service, running

KEY = "a key"
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
)
TRIALS = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    with running(make_service(tmp_path_factory.mktemp("service"), key=KEY)) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        yield {operation.label: operation for operation in (result.ok() for result in schema.get_all_operations())}


def test_every_operation_is_tried(operations):
    assert set(operations) == set(OPERATIONS)


def example(operation):
    (body,) = [body for body in operation.definition.raw["requestBody"]["content"].values() if "examples" in body]
    (found,) = body["examples"].values()
    return found["value"]


def test_the_examples_are_answered(operations):
    """One of feedback names a prediction that is not there."""
    for label, status in (("POST /predict", 200), ("POST /feedback", 404)):
        operation = operations[label]
        case = operation.Case(body=example(operation), media_type="application/json")
        assert case.call(headers={"X-API-Key": KEY}).status_code == status


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_described_and_none_is_a_500(operations, label, mode):
    operation = operations[label]
    if mode.is_negative and not (operation.body or operation.query):
        pytest.skip("nothing can be wrong about it")

    @TRIALS
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        response = case.call(headers={"X-API-Key": KEY})
        # What a class is called, and how large images are, the model knows and the description does not.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])

    check()
