"""Mappings: what an operator can say in JMESPath, and how a bad expression is told at load."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import wire
from relay.errors import Rejected
from relay.ingest.adapters.mapping import LONGEST, Mapped, compiled
from relay.ingest.events import Event
from relay.ingest.refusals import BadField

PLAIN = {
    "type": "(kind == 'composing' && 'keystroke') || (kind == 'sent' && 'message_sent')",
    "sessionId": "chat.id",
    "guestId": "chat.customer",
    "actor": "{id: join('-', ['agent', to_string(who)])}",
    "final": "!partial",
}
PAYLOAD = {"kind": "composing", "chat": {"id": 12, "customer": "g-17"}, "who": 7, "text": "canary"}


def read(mapping: Mapped, payload: object) -> list[Event]:
    return [event for _, event in mapping.read(wire.dumps(payload))]


def mapped(**expressions: str) -> Mapped:
    return compiled(PLAIN | expressions, max_events=3)


def refused_at(mapping: Mapped, payload: object) -> str:
    with pytest.raises(Rejected) as caught:
        read(mapping, payload)
    assert caught.value.status == 422
    assert "canary" not in f"{caught.value.detail}{caught.value.problems}"
    return caught.value.problems[0][0]


def test_each_expression_fills_its_field_and_numbers_become_ids() -> None:
    assert read(mapped(), PAYLOAD) == [
        {
            "type": "keystroke",
            "sessionId": "12",
            "guestId": "g-17",
            "actor": {"id": "agent-7"},
            "final": True,
        }
    ]


@pytest.mark.parametrize("kind", ["archived", None, 3])
def test_a_type_that_is_none_of_ours_says_nothing(kind: object) -> None:
    assert read(mapped(), PAYLOAD | {"kind": kind}) == []


def test_a_type_may_be_taken_as_it_stands() -> None:
    assert read(mapped(type="kind"), PAYLOAD | {"kind": "cleared"})[0]["type"] == "cleared"
    assert read(mapped(type="kind"), PAYLOAD | {"kind": ["cleared"]}) == []


def test_what_finds_nothing_leaves_its_field_out() -> None:
    (event,) = read(mapped(thinkingId="run"), PAYLOAD)
    assert "thinkingId" not in event


def test_events_finds_a_list_and_each_part_is_an_event() -> None:
    mapping = mapped(events="updates[]")
    told = read(mapping, {"updates": [PAYLOAD, PAYLOAD | {"kind": "x"}, PAYLOAD | {"kind": "sent"}]})
    assert [one["type"] for one in told] == ["keystroke", "message_sent"]
    assert read(mapping, {}) == []


def test_a_part_that_is_no_event_is_named_by_its_place() -> None:
    mapping = mapped(events="updates")
    assert (
        refused_at(mapping, {"updates": [PAYLOAD, PAYLOAD | {"chat": {"id": "../canary"}}]}) == "1.sessionId"
    )


def test_more_parts_than_a_batch_may_hold_are_too_many() -> None:
    with pytest.raises(Rejected) as caught:
        read(mapped(events="updates"), {"updates": [PAYLOAD] * 4})
    assert caught.value.status == 413


def test_what_does_not_suit_an_expression_is_a_field_that_is_not_as_wanted() -> None:
    with pytest.raises(BadField) as caught:
        read(mapped(durationMs="length(span)"), PAYLOAD | {"span": 3})
    assert caught.value.place == ("durationMs",)
    with pytest.raises(BadField):
        read(mapped(events="kind"), PAYLOAD)


def test_what_is_no_json_is_said_once_and_not_repeated() -> None:
    with pytest.raises(Rejected) as caught:
        mapped().read(b'{"canary')
    assert caught.value.status == 400
    assert "canary" not in caught.value.detail


def test_an_expression_that_finds_a_heap_of_junk_is_refused_before_it_is_read() -> None:
    with pytest.raises(Rejected, match="far more fields"):
        read(mapped(actor="who"), PAYLOAD | {"who": {f"{number:x}": 0 for number in range(90_000)}})


def test_an_expression_reference_is_no_value() -> None:
    with pytest.raises(BadField):
        read(mapped(guestId="[&who]"), PAYLOAD)


@pytest.mark.parametrize(
    ("name", "expression", "words"),
    [
        ("guestId", "chat.[", "not a JMESPath expression"),
        ("guestId", "chat ? ", "wrong at character 6"),
        ("guestId", "", "not a JMESPath expression"),
        ("guestId", "nofunc(chat)", "JMESPath has no function nofunc"),
        ("guestId", "chat.[length(nofunc(@))]", "no function nofunc"),
        ("guest", "chat", "no field of an event has this name"),
        ("guestId", "a." * LONGEST + "a", f"at most {LONGEST} characters"),
        ("guestId", "(" * (LONGEST - 1), "not a JMESPath expression"),
    ],
)
def test_a_bad_expression_is_told_at_load_with_its_key(name: str, expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        mapped(**{name: expression})
    assert str(caught.value).startswith(f"{name}: ")


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="type: is required") as caught:
        compiled({"guestId": "a.["}, max_events=1)
    assert len(str(caught.value).splitlines()) == 3


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "chat", "id", "customer", "who", "updates"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(payload=JSON, events=st.booleans())
def test_any_json_is_events_or_a_refusal(payload: object, *, events: bool) -> None:
    mapping = mapped(events="updates[]") if events else mapped(type="kind || 'keystroke'")
    body = wire.dumps(payload) if not _has_big(payload) else str(payload).encode()
    with suppress(Rejected, BadField):
        mapping.read(body)


def _has_big(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) >= 2**63
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has_big(part) for part in parts)
