"""The short way beside the validator: what it takes the validator takes, to the value; the rest it leaves alone.

pytest -m long tests/ingest/test_plain.py      50,000 arrays, a few minutes
"""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import wire
from relay.core.activity import Activity
from relay.core.indicator import Address
from relay.core.pacer import Pacer, Reach
from relay.core.session import Session
from relay.core.timings import Timings
from relay.errors import Rejected
from relay.ingest import plain
from relay.ingest.events import Actor, Event, EventReader, Reading
from relay.ingest.plain import Batch

ADDRESSES = [
    Address("s1", "g-17", None, None),
    Address("s2", None, None, None),
    Address("s3", "g-17", "c-1", None),
    Address("s4", None, None, "u-1"),
]
AWAKE = {
    one.session_id: Session(("guest", one.session_id), one, "crm", Timings(), Reach(), Pacer())
    for one in ADDRESSES
}


def check_address(_gateway: str, address: Address) -> str | None:
    return "guestId is another one" if address.guest_id == "other" else None


READER = EventReader(max_events=50)
READING = Reading(["guest", "cloud"], check_address, {"guest": AWAKE, "cloud": {}})

USUAL = {"sessionId": "s1", "guestId": "g-17", "type": "keystroke"}

NUMBERS = ["0", "7", "-0", "-1", "1.0", "1e2", "9007199254740992", "9007199254740993", "18446744073709551616", "true", "false", "null", '"7"', "[]"]  # fmt: skip
IDS = ['"evt-1"', '"\\u0065vt-2"', '"A.b_c:d~e-9"', '"a\\nb"', '"\\n"', '""', '"-a"', '"a/b"', '"a b"', '"é"', '"\\ud800"', '"a\\u0000"', f'"{"x" * 128}"', f'"{"x" * 129}"', "1", "null", '["a"]', "{}"]  # fmt: skip
ANOTHER = ['"paused"', '"message_sent"', '"thinking"', '"none"', "1", "null", '["keystroke"]']
ACTORS = [
    '{"id":"a1"}', '{"id":"a1","kind":"bot"}', '{"kind":"agent","id":"a2"}', '{"id":"a1","kind":null}', '{"id":"a1","kind":"human"}',
    '{"id":"a1","kind":["agent"]}', '{"id":"a1","device":"phone"}', '{"id":"a1","device":null}', '{"id":"a1","device":"a/b"}',
    '{"id":"a1","device":1}', '{"id":"a1","device":false}', '{"id":"a/b"}', '{"id":1}', '{"id":null}', '{"id":["x"]}',
    '{"id":"a","id":"b"}', '{"device":"phone"}', '{"id":"a1","x":1}', "{}", "[]", '["id"]', '""', '"id"', "1", "null", "false",
]  # fmt: skip
FIELDS: dict[str, list[str]] = {
    "sessionId": ['"s1"', '"s1"', '"s2"', '"s3"', '"s4"', '"new"', '"a/b"', "1", "null", '["s1"]', "{}"],
    "type": [*['"keystroke"'] * 2, '"\\u006beystroke"', *ANOTHER],
    "guestId": ['"g-17"', '"g-17"', '"other"', *IDS],
    "id": IDS,
    "actor": ACTORS,
    "epoch": NUMBERS,
    "seq": NUMBERS,
    "at": ['"2026-11-22T10:00:00Z"', '"yesterday"', "null"],
    "thinkingId": IDS,
    "final": ["false", "true", "null", "0"],
    "durationMs": ["3000", "3000.0", "99"],
    "gateway": ['"guest"', '"cloud"', '"nowhere"', "null"],
    "communicationId": ['"c-1"', '"c-2"', "null"],
    "text": ['"a-canary"'],
}
SELDOM = ["at", "thinkingId", "final", "durationMs", "gateway", "communicationId", "text"]


@st.composite
def events(draw: st.DrawFn) -> str:
    """The text of one event, or of what looks like one: mostly usual, a field or two of it odd, or twice."""
    said = {"sessionId": '"s1"', "type": '"keystroke"', "guestId": '"g-17"'}
    optional = draw(st.sets(st.sampled_from(["id", "actor", "epoch", "seq"])))
    said |= {name: FIELDS[name][0] for name in sorted(optional)}
    odd = draw(st.lists(st.sampled_from(sorted(set(FIELDS) - set(SELDOM)) * 3 + SELDOM), max_size=2))
    said |= {name: draw(st.sampled_from(FIELDS[name])) for name in odd}
    for name in draw(st.lists(st.sampled_from(sorted(said)), max_size=1)):
        if draw(st.booleans()):
            del said[name]
    pairs = [f'"{name}":{value}' for name, value in said.items()]
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(sorted(FIELDS)))
        pairs.append(f'"{name}": {draw(st.sampled_from(FIELDS[name]))}')
    return "{" + ",".join(pairs) + "}"


ODD = st.sampled_from(["null", "1", "[]", '["sessionId","type"]', '"sessionId"', "{}", "NaN", "", "{"])
ARRAYS = st.lists(events() | events() | events() | ODD, max_size=5)


def short(body: bytes) -> Batch | None:
    values = READER.values(body)
    return None if values is None else READING.unchecked(values, "crm", "guest")


def long(body: bytes) -> Batch:
    found = READER.array(body)
    return Batch(READING.activities(found, "crm", "guest"), [event.get("id") for event in found])


def agrees(texts: Sequence[str]) -> None:
    body = f"[{', '.join(texts)}]".encode()
    batch = short(body)
    assert batch is None or batch == long(body)


LITTLE = settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow])


@LITTLE
@given(ARRAYS)
def test_what_the_short_way_takes_the_validator_takes_to_the_value(texts: list[str]) -> None:
    agrees(texts)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(ARRAYS)
def test_it_does_so_for_very_many(texts: list[str]) -> None:
    agrees(texts)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_each_odd_value_alone_is_taken_as_the_validator_takes_it_or_left_to_it(field: str) -> None:
    for value in FIELDS[field]:
        said = {"sessionId": '"s1"', "type": '"keystroke"', "guestId": '"g-17"', field: value}
        agrees(["{" + ",".join(f'"{name}":{text}' for name, text in said.items()) + "}"] * 2)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_session_that_has_more_to_its_address_than_a_guest_is_the_validators(address: Address) -> None:
    guest = "null" if address.guest_id is None else f'"{address.guest_id}"'
    agrees([f'{{"sessionId":"{address.session_id}","type":"keystroke","guestId":{guest}}}'])


TAKEN = [
    {},
    {"id": "evt-1"},
    {"actor": {"id": "a1"}},
    {"actor": {"id": "a1", "kind": "bot", "device": "phone"}},
    {"actor": None, "id": None, "seq": None},
    {"epoch": 1, "seq": 2**53},
    *({"type": kind.value} for kind in plain.KINDS.values()),
]


@pytest.mark.parametrize("more", TAKEN, ids=str)
def test_a_usual_event_takes_the_short_way(more: dict[str, object]) -> None:
    body = wire.dumps([USUAL | more])
    assert short(body) == long(body)


def test_one_unusual_event_takes_no_others_off_their_way() -> None:
    unusual = [{"at": "2026-11-22T10:00:00Z"}, {"sessionId": "new"}, {"type": "thinking", "thinkingId": "r"}]
    for more in unusual:
        body = wire.dumps([USUAL, USUAL | more, USUAL])
        batch = short(body)
        assert batch is not None
        assert batch == long(body)


def test_where_most_are_unusual_the_validator_has_all_of_them() -> None:
    seen: list[object] = []

    def other(value: object, _source: str, _gateway: str) -> Activity | None:
        seen.append(value)
        return None

    assert plain.read([USUAL | {"at": "…"}, USUAL], "crm", "guest", AWAKE, other) is None
    assert seen == []


def test_an_array_that_is_none_or_too_long_is_the_validators() -> None:
    for body in (b"[]", b"{}", b"[", b"[NaN]", wire.dumps([USUAL] * 51)):
        assert short(body) is None
    assert short(wire.dumps([USUAL] * 50)) is not None


def test_its_fields_are_the_wires() -> None:
    assert set(Event.__annotations__) > plain.FIELDS >= Event.__required_keys__
    assert set(Actor.__annotations__) == plain.ACTOR_FIELDS


def test_far_too_much_is_refused_unread() -> None:
    with pytest.raises(Rejected) as caught:
        short(b"[" + b"{}," * 400_000 + b"{}]")
    assert caught.value.status == 413
