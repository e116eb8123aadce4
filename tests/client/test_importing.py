"""Importing the client costs next to nothing, and its event is the one the relay takes."""

import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import get_args, get_type_hints

import pytest

import relay.client
from relay import errors
from relay.client import ActivityEvent, ActorName
from relay.client.activity import ENDINGS, Kind
from relay.core import activity
from relay.ingest import events as taken

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
    assert rooms == {"client", "core", "ed25519", "errors", "names", "wire"}


def test_everything_it_lists_is_there_and_nothing_else_is_made_up() -> None:
    assert all(getattr(relay.client, name) is not None for name in relay.client.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        # The checker must miss it too: were it blind to typing errors, it would say that this needs no `ignore`.
        relay.client.nonsense  # type: ignore[attr-defined] # noqa: B018 - looking at it is the test


def test_what_may_be_asked_of_it_can_be_listed_and_nothing_is_loaded_for_that() -> None:
    assert set(dir(relay.client)) >= set(relay.client.__all__)
    assert loaded("import relay.client; dir(relay.client)") == "[]"


def ours_in(hint: object) -> set[type]:
    """Our own classes in an annotation, however deep."""
    inner = set[type]().union(*map(ours_in, get_args(hint)))
    return inner | ({hint} if isinstance(hint, type) and hint.__module__.startswith("relay.") else set())


def ours_around(public: object) -> set[type]:
    """Our own classes in the annotations of a function, or of a class's fields and of what may be called on it."""
    told = [public, *(one for name, one in vars(public).items() if not name.startswith("_"))]
    called = [one.fget if isinstance(one, property) else one for one in told]
    hints = [get_type_hints(one) for one in called if isinstance(one, type | FunctionType)]
    return set[type]().union(*(ours_in(hint) for named in hints for hint in named.values()))


def test_whatever_its_signatures_name_and_its_strict_clients_raise_is_there_to_be_imported() -> None:
    public = [getattr(relay.client, name) for name in relay.client.__all__]
    named = set[type]().union(*(ours_around(one) for one in public if isinstance(one, type | FunctionType)))
    assert named | {errors.Rejected, errors.Unavailable} <= {one for one in public if isinstance(one, type)}


def test_its_event_has_the_fields_the_relay_takes() -> None:
    ours, theirs = get_type_hints(ActivityEvent), get_type_hints(taken.Event)
    assert set(ours) == set(theirs)
    assert set(get_type_hints(ActorName)) == set(get_type_hints(taken.Actor))
    assert set(get_args(Kind)) == {kind.value for kind in activity.Kind}
    assert set(get_args(Kind)) >= ENDINGS
