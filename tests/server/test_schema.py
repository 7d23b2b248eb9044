"""Whatever the OpenAPI document allows, and what it does not, is answered as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.helpers.serving import hearing

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
)  # fmt: skip
EXAMPLES = 12
OPERATIONS = (
    ("POST", "/v1/classify"), ("POST", "/v1/classify/batch"), ("POST", "/v1/compare"),
    ("POST", "/v1/explain"), ("GET", "/v1/models"), ("GET", "/healthz"), ("GET", "/readyz"),
    ("GET", "/metrics"),
)  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    with hearing("lstm", page=False) as (address, _):
        document = httpx.get(f"{address}/openapi.json").json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=address)
        yield schema


def test_every_operation_is_tried(schema: Any) -> None:
    known = {(each.ok().method.upper(), each.ok().path) for each in schema.get_all_operations()}
    assert known == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (method, path, mode)
        for method, path in OPERATIONS
        for mode in schemathesis.GenerationMode
        if method == "POST" or mode.is_positive  # else nothing can be wrong with it
    ],
)
def test_answers_are_those_of_the_document(schema: Any, method: str, path: str, mode: Any) -> None:
    operation = schema[path][method]

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    asked()
