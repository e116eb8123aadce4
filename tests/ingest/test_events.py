import time
from collections.abc import Callable
from typing import Any

import pytest

from relay import wire
from relay.core.activity import Activity, Kind
from relay.errors import Rejected
from relay.ingest.events import Event, EventReader, Reading
from relay.ingest.orders import read_order
from relay.ingest.refusals import BadField
from relay.ingest.tickets import read_ticket_request
from tests.ingest.house import EVENT, SESSION, check_address

READER = EventReader(max_events=500)
READING = Reading(["guest"], check_address, {"guest": {}})


def read(**fields: object) -> Activity:
    return READING.activity(READER.one(wire.dumps(EVENT | fields)), "crm", "guest")


def refused(body: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        READER.one(body)
    return caught.value


def test_every_field_reaches_the_activity() -> None:
    activity = read(
        id="evt-1",
        actor={"id": "agent-7", "kind": "agent", "device": "phone"},
        type="thinking",
        epoch=1,
        seq=42,
        at="2026-11-22T10:00:00.123Z",
        thinkingId="run-9",
        final=False,
        visibility="private",
        durationMs=3000,
        communicationId="c-1",
        agentUserId="u-1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    assert activity.kind is Kind.THINKING
    assert activity.actor == "agent-7/phone"
    assert (activity.epoch, activity.seq, activity.at) == (1, 42, 1_795_341_600_123)
    assert (activity.thinking_id, activity.is_final, activity.is_public) == ("run-9", False, False)
    assert activity.duration_ms == 3000
    assert (activity.address.communication_id, activity.address.agent_user_id) == ("c-1", "u-1")
    assert activity.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_only_the_session_the_type_and_the_guest_are_required() -> None:
    activity = read()
    assert activity == Activity("guest", activity.address, "crm", "crm", Kind.KEYSTROKE)
    assert (activity.address.session_id, activity.address.guest_id) == (SESSION, "g-17")


OPTIONAL = ["id", "actor", "epoch", "seq", "at", "thinkingId", "final", "visibility", "durationMs", "traceparent",
            "communicationId", "agentUserId", "gateway"]  # fmt: skip


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_is_the_same_as_absent(field: str) -> None:
    assert read(**{field: None}) == read()


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_read_and_only_thinking_needs_its_id(kind: Kind) -> None:
    if kind is Kind.THINKING:
        with pytest.raises(BadField, match="id of its run"):
            read(type=kind)
    assert read(type=kind, thinkingId="r").kind is kind


INJECTIONS = [
    "", ".", "..", "../../oauth/token", "a/b?c", "a/b", "a?b", "a#b", "a%2fb", "a\\b", "a b", "a\nb", "a\r\nX: y",
    "a\x00", "\u202ea", "é", "-a", "_a", "a" * 129, "<script>",
]  # fmt: skip


@pytest.mark.parametrize("bad", INJECTIONS)
@pytest.mark.parametrize(
    "field", ["sessionId", "guestId", "id", "thinkingId", "communicationId", "agentUserId"]
)
def test_an_id_that_could_mean_something_else_in_a_path_is_refused(field: str, bad: str) -> None:
    why = refused(wire.dumps(EVENT | {field: bad}))
    assert (why.status, [place for place, _ in why.problems]) == (422, [field])


BAD_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("type", {"type": "typed"}),
    ("type", {"type": 1}),
    ("epoch", {"epoch": -1}),
    ("epoch", {"epoch": 2**53 + 1}),
    ("seq", {"seq": 3.0}),
    ("seq", {"seq": "3"}),
    ("seq", {"seq": True}),
    ("at", {"at": 1_795_341_600}),
    ("at", {"at": "1795341600"}),
    ("at", {"at": "2026-11-22 10:00:00Z"}),
    ("at", {"at": "2026-11-22T10:00:00"}),
    ("at", {"at": "2026-11-22T10:00Z"}),
    ("final", {"final": "true"}),
    ("visibility", {"visibility": "internal"}),
    ("durationMs", {"durationMs": 99}),
    ("durationMs", {"durationMs": 10_001}),
    ("actor.kind", {"actor": {"id": "a", "kind": "guest"}}),
    ("actor.id", {"actor": {}}),
    ("actor.name", {"actor": {"id": "a", "name": "Anna"}}),
    ("traceparent", {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}),
    ("traceparent", {"traceparent": "junk"}),
    ("text", {"text": "what the guest said"}),
]


@pytest.mark.parametrize(("place", "change"), BAD_FIELDS)
def test_a_bad_field_is_named_and_its_value_is_not(place: str, change: dict[str, Any]) -> None:
    why = refused(wire.dumps(EVENT | change))
    assert (why.status, [where for where, _ in why.problems]) == (422, [place])
    assert "what the guest said" not in str(why.problems) + why.detail


@pytest.mark.parametrize("day", ["2026-02-30T00:00:00Z", "2026-02-20T24:00:00Z", "2026-02-20T00:00:00+25:00"])
def test_a_moment_that_never_was_is_refused(day: str) -> None:
    with pytest.raises(BadField, match="no such day"):
        read(at=day)


@pytest.mark.parametrize("missing", ["sessionId", "type"])
def test_what_every_event_needs_is_named_when_missing(missing: str) -> None:
    why = refused(wire.dumps({name: value for name, value in EVENT.items() if name != missing}))
    assert [where for where, _ in why.problems] == [missing]


def test_what_the_gateway_needs_is_named_when_missing() -> None:
    event = READER.one(wire.dumps({"sessionId": SESSION, "type": "keystroke"}))
    with pytest.raises(Rejected) as caught:
        READING.activities([event], "crm", "guest")
    assert caught.value.problems == (("0.guestId", "guestId is required"),)


def test_a_gateway_nobody_configured_is_refused() -> None:
    with pytest.raises(BadField, match="no gateway of this name"):
        read(gateway="eu")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nope", b'{"a":1}x', b"\xff\xfe", b"[" * 3000, b'{"sessionId":"\xed\xa0\x80"}']
)
def test_what_is_no_json_is_400(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize("body", [b"null", b"1", b'"x"', b"true"])
def test_json_that_is_no_event_is_422(body: bytes) -> None:
    assert refused(body).status == 422


def test_a_name_of_the_callers_own_making_is_only_repeated_where_it_is_one() -> None:
    why = refused(wire.dumps(EVENT | {"<img src=x>": 1, "x" * 65: 1, "fine_name": 1}))
    assert sorted(place for place, _ in why.problems) == ["?", "?", "fine_name"]


@pytest.mark.parametrize(
    ("name", "near"),
    [("session_id", "sessionId"), ("guest-id", "guestId"), ("sequence", "seq"), ("duration", "durationMs"), ("ID", "id")],
)  # fmt: skip
def test_a_name_that_nearly_is_one_is_told_its_neighbour(name: str, near: str) -> None:
    ((_, words),) = refused(wire.dumps(EVENT | {name: 1})).problems
    assert f"did you mean `{near}`?" in words


def test_an_order_s_neighbours_are_its_own() -> None:
    order = {"sessionId": SESSION, "guestId": "g-17", "type": "typing", "durationMs": 3000}
    with pytest.raises(Rejected) as caught:
        read_order(wire.dumps(order))
    ((_, words),) = caught.value.problems
    assert "did you mean `duration`?" in words


@pytest.mark.parametrize("name", ["text", "message", "x", "_", "-", "a"])
def test_content_has_no_neighbour(name: str) -> None:
    ((_, words),) = refused(wire.dumps(EVENT | {name: 1})).problems
    assert "never enter here" in words


def test_a_body_of_junk_names_is_not_listed_one_by_one() -> None:
    why = refused(wire.dumps(EVENT | {f"x{number}": 1 for number in range(5000)}))
    assert (why.status, why.problems) == (422, ())


FULL = {
    "id": "e" * 128, "sessionId": SESSION, "guestId": "g-17", "actor": {"id": "agent-7", "kind": "agent", "device": "phone"},
    "type": "thinking", "epoch": 1, "seq": 42, "at": "2026-11-22T10:00:00.123Z", "thinkingId": "run-9", "final": False,
    "visibility": "private", "durationMs": 3000, "communicationId": "c-1", "agentUserId": "u-1", "gateway": "guest",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}  # fmt: skip
MEGABYTE = 2**20
JUNK: list[tuple[bytes, int]] = [
    (b'[{%b"a":0}]' % (b'"a":0,' * (MEGABYTE // 6 - 2)), 422),
    (b'[{%b"a"\t: 0}]' % (b'"a"\t: 0,' * (MEGABYTE // 8 - 2)), 422),
    (b'[{%b"seq":0}]' % (b'"seq":0,' * (MEGABYTE // 8 - 2)), 422),
    (b'[{"seq":[%b0]}]' % (b"0," * (MEGABYTE // 2 - 10)), 422),
    (b"[%b0]" % (b"0," * (MEGABYTE // 2 - 2)), 422),
    (b"[%b{}]" % (b"{}," * (MEGABYTE // 3 - 2)), 413),
]


@pytest.mark.parametrize(("body", "status"), JUNK, ids=range(len(JUNK)))
def test_a_megabyte_of_junk_costs_no_more_than_a_full_batch(body: bytes, status: int) -> None:
    """The dearest honest body is the measure: with every field of five hundred events."""
    full = wire.dumps([FULL] * 500)
    honest = min(_seconds(lambda: READER.array(full)) for _ in range(3))
    with pytest.raises(Rejected) as caught:
        READER.array(body)
    assert (caught.value.status, caught.value.problems) == (status, ())
    assert min(_seconds(lambda: refused_array(body)) for _ in range(3)) < honest


def refused_array(body: bytes) -> None:
    with pytest.raises(Rejected):
        READER.array(body)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_the_fullest_honest_batch_is_no_junk() -> None:
    assert set(FULL) == set(Event.__annotations__)
    assert len(READER.array(wire.dumps([FULL] * 500))) == 500


@pytest.mark.parametrize(
    "read", [READER.one, lambda raw: READER.line(raw, 0), read_order, read_ticket_request]
)
def test_junk_in_one_object_is_refused_before_it_is_read(read: Callable[[bytes], object]) -> None:
    with pytest.raises(Rejected, match="far more fields"):
        read(b'{%b"a":0}' % (b'"a":0,' * 10_000))


def test_a_batch_past_its_bound_is_413() -> None:
    with pytest.raises(Rejected) as caught:
        EventReader(max_events=2).array(b"[1,2,3]")
    assert caught.value.status == 413


def test_the_schema_knows_the_wires_names() -> None:
    assert set(OPTIONAL) | {"sessionId", "guestId", "type"} == set(Event.__annotations__)
