"""schemathesis against the API's own description, with the real scoring behind it.

Every case goes through a real socket to a real model and a real journal. `make test` sends a few hundred;
CHAOS_CASES sets how many.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from served import ROW, TOKEN, Served, serve

from conftest import World
from fielded.definition import load_deployment
from fielded.services.serve import open_live

CASES = int(os.environ.get("CHAOS_CASES", "400"))
MARK = "MARKa7f3"
INSIDE = ("Traceback", "fielded.", "pydantic", 'File "', "/src/", "pyarrow", "Error(", "site-packages")
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class Real:
    """Opens the real service where the tests of the door have a stand-in."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.gate = self

    def open(self, settle: Any) -> Any:
        return open_live(self._world.open("os:server", seed=None), settle)

    def set(self) -> None:
        """There is no gate."""


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    site = replace(world.site, api=replace(world.site.api, max_body_bytes=200_000))
    stand: Any = Real(world)
    with serve(load_deployment(world.folder), site, stand) as made:
        yield made


def says_nothing(response: Any) -> None:
    """An error shows nothing of the request's values and nothing of ours."""
    if response.status_code >= 400:
        assert MARK not in response.text
        assert not any(word in response.text for word in INSIDE), response.text
        kind = response.headers["content-type"]  # schemathesis keeps every value that a header has
        assert (kind[0] if isinstance(kind, list) else kind) == "application/problem+json"


def marked(value: Any) -> Any:
    """The same with a mark in every text that is a value."""
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item) for item in value]
    return f"{value}{MARK}" if isinstance(value, str) else value


def bounded(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def test_the_api_keeps_to_its_own_description(served: Served) -> None:
    described = served.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 25
    base = f"http://127.0.0.1:{served.port}"
    session = requests.Session()
    session.headers["authorization"] = f"Bearer {TOKEN}"
    seen: set[tuple[str, int]] = set()
    for operation in operations:
        heavy = operation.method == "post"
        count = CASES // (40 if "/review/" in operation.path else 8) if heavy else max(3, CASES // 100)
        can_be_wrong = heavy or "{" in operation.path
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)[: 1 + can_be_wrong]:

            @bounded(count)
            @given(operation.as_strategy(generation_mode=mode, headers={"x-of": "no matter"}))
            def send(case: Case) -> None:
                response = case.call(base, session=session)
                asked = [checks.negative_data_rejection] if case.method == "POST" else []
                case.validate_response(response, checks=CHECKS + asked)
                says_nothing(response)
                seen.add((case.operation.path, response.status_code))
                if case.method == "POST":
                    case.body = marked(case.body)
                    again = case.call(base, session=session)
                    assert again.status_code < 500
                    says_nothing(again)

            send()
    session.close()
    assert {("/score", 200), ("/score", 422), ("/score/batch", 422)} <= seen
    assert MARK not in served.log.getvalue()


def test_bytes_of_any_kind_are_answered_with_a_problem(served: Served) -> None:
    good = json.dumps(ROW).encode()
    junk = st.binary(max_size=300) | st.builds(
        lambda start, middle, end: good[:start] + middle + good[end:],
        st.integers(0, len(good)),
        st.binary(max_size=8),
        st.integers(0, len(good)),
    )

    @bounded(CASES // 4)
    @given(junk, st.sampled_from(["/score", "/score/batch", "/v2/models/shared/infer"]))
    def send(body: bytes, path: str) -> None:
        response = served.client.post(path, content=body, headers={"content-type": "application/json"})
        assert response.status_code in (200, 422)
        says_nothing(response)
        if response.status_code == 422:
            assert response.json()["errors"]

    send()
