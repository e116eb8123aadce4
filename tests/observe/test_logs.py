import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from relay import wire
from relay.errors import StoreError
from relay.observe.logs import setup

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The root logger is the process's: it goes back to what pytest made of it."""
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    handlers, level, filters = root.handlers[:], root.level, server.filters[:]
    yield
    root.handlers[:], server.filters[:] = handlers, filters
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [wire.loads(line) for line in stream.getvalue().splitlines()]


def logged(fields: dict[str, object], *, log_ids: Any = "hashed", key: bytes = KEY) -> dict[str, Any]:
    stream = io.StringIO()
    setup("info", log_ids, key=key, stream=stream)
    logging.getLogger("relay.delivery").info("delivery.attempted", extra={"fields": fields})
    (line,) = lines(stream)
    return line


def test_a_fact_is_one_line_with_its_fields() -> None:
    line = logged({"endpoint": "tracker", "latency_ms": 12})
    assert (line["event"], line["logger"], line["level"]) == ("delivery.attempted", "relay.delivery", "info")
    assert (line["endpoint"], line["latency_ms"]) == ("tracker", 12)
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("name", ["session_id", "guest_id", "communication_id", "actor"])
def test_an_id_is_a_hash_that_only_the_same_id_and_key_give(name: str) -> None:
    one = logged({name: "g-17"})[name]
    assert "g-17" not in one
    assert one == logged({name: "g-17"})[name]
    assert one != logged({name: "g-18"})[name]
    assert one != logged({name: "g-17"}, key=b"x" * 32)[name]


def test_ids_are_plain_where_the_operator_says_so() -> None:
    assert logged({"session_id": "g-17"}, log_ids="plain")["session_id"] == "g-17"


def test_an_id_inside_another_field_is_hashed_too() -> None:
    assert "g-17" not in str(logged({"payload": {"guest_id": "g-17"}}))


def test_no_id_is_no_hash() -> None:
    assert logged({"guest_id": None})["guest_id"] is None


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "token", "secret", "client_secret", "password"]
)
def test_a_field_named_like_a_secret_is_blanked(name: str) -> None:
    assert "canary" not in str(logged({name: "canary"}))
    assert "canary" not in str(logged({"inner": {name: "canary"}}))


UNSAFE = ["\n", "\r\n{}", "\x1b[2J", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\u200f"]


@pytest.mark.parametrize("text", UNSAFE)
def test_nothing_logged_can_break_its_line(text: str) -> None:
    stream = io.StringIO()
    setup("info", "plain", stream=stream)
    logging.getLogger("relay").info("x%s", text, extra={"fields": {"message": text}})
    written = stream.getvalue().removesuffix("\n")
    assert text not in written
    assert "\n" not in written
    assert wire.loads(written)["message"] == text, "escaped, not lost"


def test_a_value_json_has_no_form_for_is_named_by_its_type() -> None:
    assert logged({"thing": object()})["thing"] == "object"


def _raise(why: Exception) -> None:
    raise why


def raised(why: Exception) -> dict[str, Any]:
    stream = io.StringIO()
    setup("info", "hashed", stream=stream)
    try:
        _raise(why)
    except Exception:
        logging.getLogger("relay").exception("it.failed")
    (line,) = lines(stream)
    return line


def test_our_own_exceptions_say_why() -> None:
    assert raised(StoreError("the file is held by process 7"))["message"] == "the file is held by process 7"


def test_the_systems_exceptions_say_why() -> None:
    assert raised(OSError(28, "No space left on device"))["message"] == "No space left on device"


def test_others_exceptions_say_what_and_where_and_none_of_their_words() -> None:
    line = raised(ValueError("canary"))
    assert line["exception"] == "ValueError"
    assert "test_logs.py" in line["trace"][0]
    assert "canary" not in str(line)


def test_the_http_library_is_heard_once_in_a_while() -> None:
    stream = io.StringIO()
    setup("info", "hashed", stream=stream)
    server = logging.getLogger("aiohttp.server")
    for _ in range(2000):
        server.error("Error handling request from %s", "canary", exc_info=BadHttpMessage("canary"))
    (line,) = lines(stream)
    assert (line["event"], line["kind"]) == ("http.error", "BadHttpMessage")
    assert "canary" not in stream.getvalue()


def test_setting_up_again_replaces_what_was_set_up() -> None:
    first, second = io.StringIO(), io.StringIO()
    setup("info", "hashed", stream=first)
    setup("error", "hashed", stream=second)
    logging.getLogger("relay").info("quiet")
    logging.getLogger("relay").error("loud")
    assert (first.getvalue(), len(lines(second))) == ("", 1)
