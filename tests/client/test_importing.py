"""Importing the client costs next to nothing, and its event is the one the relay takes."""

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import relay.client
from relay.client import ActivityEvent, ActorName
from relay.client.activity import ENDINGS, Kind
from relay.core import activity
from relay.ingest import events

ROOT = Path(__file__).parents[2]
HEAVY = ("aiohttp", "pydantic", "apsw", "click", "cryptography", "prometheus_client", "dotenv", "aiolimiter")


def loaded(code: str) -> str:
    script = f"{code}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["RelayClient", "BlockingRelayClient"])
def test_having_a_client_loads_no_library_of_the_server(name: str) -> None:
    assert loaded(f"from relay.client import {name}; {name}('http://127.0.0.1:8080', 'k')") == "[]"


def test_using_it_loads_aiohttp_and_nothing_else() -> None:
    code = (
        "import asyncio, relay.client as c; r = c.RelayClient('http://127.0.0.1:1', patience_s=0.1); "
        "f = lambda: r.send({'sessionId': 's', 'type': 'keystroke'}); asyncio.run(f())"
    )
    assert loaded(code) == "['aiohttp']"


def test_no_module_of_the_server_comes_with_it() -> None:
    code = "import relay.client.blocking, relay.client.connection, sys; print(sorted(m for m in sys.modules if m.startswith('relay.')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    rooms = {name.strip("' ").split(".")[1] for name in done.stdout.strip().strip("[]").split(",")}
    assert rooms == {"client", "core", "ed25519", "errors", "wire"}


def test_everything_it_lists_is_there_and_nothing_else_is_made_up() -> None:
    assert all(getattr(relay.client, name) is not None for name in relay.client.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        relay.client.nonsense  # noqa: B018 - looking at it is the test


def test_its_event_has_the_fields_the_relay_takes() -> None:
    ours, theirs = get_type_hints(ActivityEvent), get_type_hints(events.Event)
    assert set(ours) == set(theirs)
    assert set(get_type_hints(ActorName)) == set(get_type_hints(events.Actor))
    assert set(get_args(Kind)) == {kind.value for kind in activity.Kind}
    assert set(get_args(Kind)) >= ENDINGS
