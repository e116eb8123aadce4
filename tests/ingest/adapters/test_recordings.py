"""What each platform really posts, and what is made of it. `from` in a recording says where its shape is published."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay import wire
from relay.ingest.adapters import chatwoot, cloudevents, genesys_open
from relay.ingest.events import Event, EventReader

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
READERS: dict[str, Callable[[bytes], list[Event]]] = {
    "genesys-open": lambda body: genesys_open.read(body, genesys_open.PATHS),
    "chatwoot": lambda body: chatwoot.read(body, chatwoot.PATHS),
    "cloudevents": cloudevents.read,
}
OURS = EventReader(max_events=10)


def recorded(path: Path) -> tuple[Callable[[bytes], list[Event]], Any]:
    read = next(read for name, read in READERS.items() if path.name.startswith(name))
    return read, wire.loads(path.read_bytes())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_webhook_says_what_it_should(path: Path) -> None:
    read, recording = recorded(path)
    told = [
        {k: v for k, v in event.items() if v is not None} for event in read(wire.dumps(recording["body"]))
    ]
    assert told == recording["says"]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_what_an_adapter_makes_could_have_been_posted_as_an_event(path: Path) -> None:
    read, recording = recorded(path)
    for event in read(wire.dumps(recording["body"])):
        assert OURS.one(wire.dumps(event)) == event


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_no_text_of_a_message_or_name_of_a_person_comes_through(path: Path) -> None:
    read, recording = recorded(path)
    told = wire.dumps(read(wire.dumps(recording["body"])))
    for content in (b"waiting", b"How was it", b"Ada", b"desk.example", b"Firefox"):
        assert content not in told


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_says_where_its_shape_is_published(path: Path) -> None:
    assert all(url.startswith("https://") for url in wire.loads(path.read_bytes())["from"])
