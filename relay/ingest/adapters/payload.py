"""Reading a platform's JSON by dotted paths: what is not asked for is passed over, and none of it is repeated.

A platform sends whole conversations, text included. An adapter asks for a handful of places in them; nothing else
leaves the bytes it came in.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from relay import wire
from relay.core.ids import is_id
from relay.core.moments import RFC3339_PATTERN, rfc3339, unix_ms_of
from relay.ingest.events import Event
from relay.ingest.refusals import BadField, Place, not_json

Posted = list[tuple[Place, Event]]
"""Events, each with its place in what was posted: an index, or nothing where it stands alone."""

_ABSENT_ID = "nothing is here, and the session's or the guest's id is wanted; see session_path and guest_path"
_NO_ID = "an id of letters, digits and . _ : ~ - is wanted, at most 128; see session_path and guest_path"
_MOMENT = re.compile(RFC3339_PATTERN)
_LEAP_SECOND = re.compile(r"(T[0-9]{2}:[0-9]{2}:)60")
_LONGEST_MOMENT = 64
_DURATION_MS = (100, 10_000)

Payload = dict[str, Any]  # Any: JSON


class Paths(NamedTuple):
    """Where in a payload the session's and the guest's id stand: member names with dots between."""

    session: str
    guest: str


class Unaddressable(BadField):
    """The session's or the guest's id is none of ours."""


def parsed(body: bytes) -> Payload:
    """The object in a body. Raises Rejected (400), and BadField for JSON that is no object."""
    try:
        value = wire.loads(body)
    except wire.NotJson as why:
        raise not_json(str(why)) from None
    if not isinstance(value, dict):
        raise BadField((), "one JSON object is wanted")
    return value


def found_at(payload: Mapping[str, Any], path: str) -> Any:
    """What stands at `path`, None where nothing does; lists are not entered."""
    here: Any = payload
    for name in path.split("."):
        here = here.get(name) if isinstance(here, dict) else None
    return here


def text_at(payload: Mapping[str, Any], path: str) -> str:
    """Raises BadField where no text stands at `path`."""
    found = found_at(payload, path)
    if not isinstance(found, str):
        raise BadField(_place(path), "a text is wanted")
    return found


def id_at(payload: Mapping[str, Any], path: str) -> str:
    """An id as events carry it; whole numbers are written out. Raises Unaddressable."""
    found = found_at(payload, path)
    if found is None:
        raise Unaddressable(_place(path), _ABSENT_ID)
    said = id_of(found)
    if said is None or not is_id(said):
        raise Unaddressable(_place(path), _NO_ID)
    return said


def id_of(value: Any) -> str | None:
    """An id as a text, if it is a text or a whole number: many platforms count."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)


def fitted(said: str) -> str:
    """`said` where it is an id as events carry it, else its SHA-256: as good for telling two apart."""
    return said if is_id(said) else sha256(said.encode(errors="backslashreplace")).hexdigest()


def moment_of(said: Any) -> str | None:
    """A time as events carry it; None for what is none, or has no zone: the relay's own clock takes its place.

    RFC 3339 section 5.6 has `t` and `z` small too, and second 60, which is told as the one after it; `+0000`, as
    Java's formats have it, is ISO 8601's basic form.
    """
    if not isinstance(said, str) or len(said) > _LONGEST_MOMENT:
        return None
    text, leaps = _LEAP_SECOND.subn(r"\g<1>59", said.upper())
    try:
        at = unix_ms_of(datetime.fromisoformat(text) + timedelta(seconds=leaps))
        told = "" if at is None else rfc3339(at)
    except (ValueError, OverflowError, TypeError):  # no time, none of these years, no zone
        return None
    return told if _MOMENT.fullmatch(told) else None


def duration_of(value: Any) -> int | None:
    """Milliseconds within what an event may ask for; None for what is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    shortest, longest = _DURATION_MS
    return min(max(value, shortest), longest)


def _place(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
