"""Requests that a machine thinks up from the OpenAPI document: none makes the server fail."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.deploy.server.asking import ask

EXAMPLES = 15
"""A route. `pytest --hypothesis-seed N` and a larger number look further."""

ROUTES = [
    *(("POST", "/v1/classify"), ("POST", "/v1/explain"), ("GET", "/v1/model")),
    *(("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")),
]


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*route, "positive") for route in ROUTES]
    + [(*route, "negative") for route in ROUTES if route[1].startswith("/v1/")],
)
def test_no_request_makes_the_server_fail(url: str, method: str, path: str, mode: str) -> None:
    schema = schemathesis.openapi.from_dict(ask(url, "/openapi.json").json)
    operation = schema[path][method]
    asked = 0

    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        nonlocal asked
        response = case.call(base_url=url)
        asked += 1
        assert response.status_code < 500, (response.status_code, response.text)
        if response.status_code >= 400:
            assert response.json()["error"]["status"] == response.status_code

    check()
    assert asked
