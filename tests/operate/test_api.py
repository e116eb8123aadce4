"""The operator's document: valid, complete, and of the shape the doors really answer with."""

import asyncio
import re
import shlex
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from relay.openapi import curl
from relay.openapi.route import Route
from relay.operate.api import ROUTES, operator_document
from tests.operate.house import SESSION, House

SAMPLES = {"name": "tracker", "id": "1"}
DOCUMENT = operator_document()


def path_of(route: Route) -> str:
    return re.sub("{([a-z]+)}", lambda found: SAMPLES[found[1]], route.path)


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


async def test_every_door_is_told_of_and_nothing_else_is(house: House) -> None:
    """A door added without a line in `relay/operate/api.py` fails here: add its route."""
    untold = {
        pattern
        for pattern, method in house.served.items()
        if not any(re.fullmatch(pattern, path_of(one)) and one.method.upper() == method for one in ROUTES)
    }
    assert untold == set()
    for route in ROUTES:
        reply = await house.ask(path_of(route), route.method.upper())
        assert b"nothing is served under this path" not in reply.body, route.path
        assert reply.status != 405, route.path


@pytest.mark.parametrize("path", ["/v1/audit", "/v1/deliveries", "/v1/attempts"])
async def test_a_page_before_a_row_far_beyond_the_newest_is_the_first_page(house: House, path: str) -> None:
    """Asked by schemathesis: every stretch down from 2**63 was looked through, so no answer ever came."""
    before = "9" * 18 + ".1" if path == "/v1/attempts" else f"{2**63 - 1}"
    async with asyncio.timeout(5):
        of = "" if path == "/v1/audit" else "endpoint=tracker&"
        reply = await house.ask(f"{path}?{of}before={before}")
    assert reply.status == 200


READABLE = [
    route for route in ROUTES if route.method == "get" and route.name not in {"getMetrics", "getPage"}
]


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.name)
async def test_an_answer_is_told_of_and_has_the_shape_it_is_told_to_have(house: House, route: Route) -> None:
    house.type(SESSION)
    path = path_of(route).replace("/sessions/1", f"/sessions/{SESSION}")
    queries = {"why": "?event=msg_1", "getEndpointAttempts": "?endpoint=tracker"}
    reply = await house.ask(path + queries.get(route.name, ""))
    told: dict[str, Any] = DOCUMENT["paths"][route.path]["get"]["responses"]
    assert str(reply.status) in told
    for form in told[str(reply.status)]["content"].values():
        schema = form["schema"] | {"components": DOCUMENT["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(reply.value)] == []
        break


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.method == "get"], ids=lambda route: route.name
)
async def test_the_line_to_copy_asks_for_all_that_is_needed(house: House, route: Route) -> None:
    """Escaped because the lines were only held against a shell: two left out what their query has to have."""
    operation = DOCUMENT["paths"][route.path]["get"]
    ((_, command),) = curl.lines("GET", route.path, operation, origin=house.url)
    url = shlex.split(command)[-1]
    reply = await house.ask(url.removeprefix(house.url))
    assert reply.status not in {400, 405, 422}, url
