"""The public document: valid, complete, what the doors really do, and the same as yesterday unless we meant it."""

from pathlib import Path

import pytest
from openapi_spec_validator import validate

from relay import wire
from relay.ingest.api import ROUTES, public_document
from tests.ingest.house import House

SNAPSHOT = Path(__file__).parent / "openapi.json"


def test_the_document_is_valid_openapi() -> None:
    validate(public_document())


def test_the_document_is_as_it_was() -> None:
    """After a change that was meant:

    PYTHONPATH=. python -c "from relay import wire; from relay.ingest.api import public_document; \
import sys; sys.stdout.buffer.write(wire.dumps_pretty(public_document()))" > tests/ingest/openapi.json
    """
    assert wire.dumps_pretty(public_document()) == SNAPSHOT.read_bytes(), (
        "the API's document changed: see this test's docstring for how to renew it, and read the difference"
    )


async def test_every_door_is_told_of_and_nothing_else_is(house: House) -> None:
    assert house.doors is not None
    told = {(route.path, route.method.upper()) for route in ROUTES}
    served = {(path, method) for path, methods in house.doors.served.items() for method in methods}
    assert told == {one for one in served if one[1] != "HEAD"}


@pytest.mark.parametrize(("path", "media"), [("/openapi.json", "application/json"), ("/docs", "text/html")])
async def test_a_document_is_served_to_anybody_on_this_machine_and_not_twice(
    house: House, path: str, media: str
) -> None:
    assert house.client is not None
    answer = await house.client.get(house.base_url + path)
    assert (answer.status, answer.content_type) == (200, media)
    assert answer.headers["Server"] == "typing-relay"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    etag = answer.headers["ETag"]
    for asked in (etag, f"W/{etag}", f'"other", {etag}', "*"):  # RFC 9110 section 13.1.2
        again = await house.client.get(house.base_url + path, headers={"If-None-Match": asked})
        assert (again.status, await again.read()) == (304, b""), asked
    other = await house.client.get(house.base_url + path, headers={"If-None-Match": '"other"'})
    assert other.status == 200
    head = await house.client.head(house.base_url + path)
    assert (head.status, head.headers["Content-Length"]) == (200, answer.headers["Content-Length"])


async def test_the_document_that_is_served_is_the_one_that_was_judged(house: House) -> None:
    assert house.client is not None
    answer = await house.client.get(house.base_url + "/openapi.json")
    assert wire.loads(await answer.read()) == wire.loads(wire.dumps(public_document()))


async def test_a_page_of_another_site_does_not_read_it(house: House) -> None:
    assert house.client is not None
    answer = await house.client.get(house.base_url + "/docs", headers={"Host": "evil.example"})
    assert answer.status == 403
