"""What trackers are told is what the schemas say: every fact, rendered, against its own event type."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relay import wire
from relay.core.engagement import Broadcast, Fact, Reason, Suppressed, Transition, event_data, event_type
from relay.core.indicator import Cause, Indicator
from relay.core.notice import Kind, Notice, disabled
from relay.openapi.document import Told, document
from relay.openapi.hooks import HOOKS

DOCUMENT = document(Told("t", "s", "d"), (), HOOKS)
KEY = ("guest", "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00")
AT = 1_795_341_600_000


def attempt(*, success: bool, cause: Cause = Cause.START) -> Broadcast:
    return Broadcast(
        audit_id="a-1",
        key=KEY,
        guest_id="g-17",
        source="crm",
        indicator=Indicator.TYPING,
        duration_ms=3000,
        cause=cause,
        success=success,
        status=200 if success else None,
        error=None if success else "timeout",
        message="" if success else "no answer",
        latency_ms=41,
        attempts=3,
        is_given_up=not success,
        at=AT,
    )


FACTS: list[Fact] = [
    *(Transition(KEY, "g-17", "crm", Indicator.TYPING, reason, 1, AT) for reason in Reason),
    Transition(KEY, None, "crm", Indicator.PAUSED, Reason.SILENCE, 2, AT),
    Transition(KEY, None, "crm", Indicator.STOPPED, Reason.SILENCE, 0, AT, platform="lapse"),
    *(attempt(success=True, cause=cause) for cause in Cause),
    attempt(success=False),
    Suppressed(KEY, "g-17", "crm", Indicator.TYPING, "muted", AT),
    *(Notice(kind, "tracker", "it answered 503", AT, AT, 4, 4, "msg_1", "session.typing") for kind in Kind),
    disabled("tracker", "it answered 410", AT, AT),
]


def problems_of(event: Any) -> list[str]:
    form = DOCUMENT["webhooks"][event["type"]]["post"]["requestBody"]["content"]["application/json"]
    schema = form["schema"] | {"components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(event)]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{event_type(fact)}-{getattr(fact, 'reason', '')}")
def test_what_a_tracker_is_told_is_as_its_schema_says(fact: Fact) -> None:
    data = wire.loads(wire.dumps(event_data(fact, 17)))
    event = {"type": event_type(fact), "timestamp": "2026-11-22T10:00:00.123Z", "data": data}
    assert problems_of(event) == []


def test_every_type_of_event_has_a_hook() -> None:
    assert {event_type(fact) for fact in FACTS} <= set(DOCUMENT["webhooks"])


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.type)
def test_an_example_is_as_its_schema_says(hook: Any) -> None:
    assert problems_of(hook.example) == []


def test_a_field_nobody_told_of_would_be_noticed() -> None:
    event = {"type": "session.typing", "timestamp": "x", "data": HOOKS[0].example["data"] | {"text": "x"}}
    assert problems_of(event)
