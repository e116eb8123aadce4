"""What each platform really posts, and what is made of it (`recorded`)."""

from collections.abc import Callable

import pytest

from relay import wire
from relay.ingest.adapters import chatwoot, cloudevents, genesys_open
from relay.ingest.events import Event, EventReader
from relay.ingest.refusals import BadField
from tests.ingest.adapters.recorded import NAMES, as_posted, as_published, recording

READERS: dict[str, Callable[[bytes], list[Event]]] = {
    "genesys-open": lambda body: genesys_open.read(body, genesys_open.PATHS),
    "chatwoot": lambda body: chatwoot.read(body, chatwoot.PATHS),
    "cloudevents": cloudevents.read,
}
OURS = EventReader(max_events=10)


def read(name: str, body: bytes) -> list[Event]:
    return next(one(body) for platform, one in READERS.items() if name.startswith(platform))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_webhook_says_what_it_should(name: str) -> None:
    told = [{k: v for k, v in event.items() if v is not None} for event in read(name, as_posted(name))]
    assert told == recording(name)["says"]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_adapter_makes_could_have_been_posted_as_an_event(name: str) -> None:
    for event in read(name, as_posted(name)):
        assert OURS.one(wire.dumps(event)) == event


@pytest.mark.parametrize("name", [name for name in NAMES if "customer" in recording(name)])
def test_a_customer_who_is_called_by_an_address_is_nobody_of_ours(name: str) -> None:
    """As all published examples have it, where a middleware did not think of us."""
    with pytest.raises(BadField) as caught:
        read(name, as_published(name))
    assert caught.value.place == ("channel", "to", "id")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_a_message_or_name_of_a_person_comes_through(name: str) -> None:
    told = wire.dumps(read(name, as_posted(name)))
    for content in (
        b"waiting",
        b"Hello",
        b"Hi Happy",
        b"Open Messaging",
        b"Ada",
        b"desk.example",
        b"Firefox",
    ):
        assert content not in told


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_says_where_its_shape_is_published(name: str) -> None:
    assert all(url.startswith("https://") for url in recording(name)["from"])
