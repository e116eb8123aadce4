from typing import Any
from uuid import UUID

import pytest

from relay.core.conversation import NOT_CONNECTED, Look, leg_of, liveness_in, look_in
from relay.core.indicator import Address
from relay.core.liveness import Liveness
from relay.core.outcome import Unreachable

LIVE, GONE, UNKNOWN = Liveness.LIVE, Liveness.GONE, Liveness.UNKNOWN
BY_AGENT, BY_LEG = Address("c", None, None, "u-1"), Address("c", None, "leg-1")


def participant(purpose: str, leg: str, state: str, user: str | None = None) -> dict[str, Any]:
    return {"purpose": purpose, "userId": user, "messages": [{"id": leg, "state": state}]}


def conversation(agent: str = "connected", customer: str = "connected", **more: Any) -> dict[str, Any]:
    people = [participant("customer", "leg-0", customer), participant("agent", "leg-1", agent, "u-1")]
    return {"id": "c", "participants": people, **more}


@pytest.mark.parametrize("address", [BY_AGENT, BY_LEG])
@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (conversation(), LIVE),
        (conversation("Connected"), LIVE),
        (conversation("alerting"), UNKNOWN),
        (conversation("parked"), UNKNOWN),
        (conversation("disconnected"), GONE),
        (conversation("terminated"), GONE),
        (conversation(customer="disconnected"), GONE),
        (conversation(customer="terminated"), GONE),
        (conversation(endTime="2026-01-01T10:00:00.000Z"), GONE),
        (conversation(endTime=None), LIVE),
        ({"participants": []}, GONE),
        ({}, UNKNOWN),
    ],
)
def test_a_session_is_alive_while_agent_and_customer_are_there(
    address: Address, body: dict[str, Any], wanted: Liveness
) -> None:
    assert liveness_in(200, body, address) is wanted


@pytest.mark.parametrize(
    ("status", "wanted"), [(404, GONE), (410, GONE), (403, UNKNOWN), (429, UNKNOWN), (500, UNKNOWN)]
)
def test_only_an_absent_conversation_is_gone_without_a_body(status: int, wanted: Liveness) -> None:
    assert liveness_in(status, {}, BY_AGENT) is wanted


def test_a_connected_leg_goes_before_a_later_one_that_rings() -> None:
    body = conversation()
    body["participants"].append(participant("agent", "leg-2", "alerting", "u-1"))
    leg = leg_of(body, BY_AGENT)
    assert leg is not None
    assert leg.communication_id == "leg-1"


def test_a_look_finds_the_leg_of_who_is_connected() -> None:
    leg = str(UUID(int=1))
    body = {"participants": [participant("agent", leg, "connected", "u-1")]}
    assert look_in(body, BY_AGENT) == Look(LIVE, leg)


@pytest.mark.parametrize("state", ["alerting", "Offering", "dialing", "contacting", "parked"])
def test_on_a_leg_that_is_not_connected_yet_nobody_types_yet(state: str) -> None:
    body = {"participants": [participant("agent", str(UUID(int=1)), state, "u-1")]}
    assert look_in(body, BY_AGENT) == Look(UNKNOWN, why=NOT_CONNECTED)


def test_a_state_that_is_not_known_is_the_platforms_to_judge() -> None:
    leg = str(UUID(int=1))
    body = {"participants": [participant("agent", leg, "musing", "u-1")]}
    assert look_in(body, BY_AGENT) == Look(UNKNOWN, leg)


@pytest.mark.parametrize("body", [{}, {"participants": [participant("agent", "../x", "connected", "u-1")]}])
def test_a_look_at_what_is_not_of_the_shape_says_why_there_is_no_leg(body: dict[str, Any]) -> None:
    look = look_in(body, BY_AGENT)
    assert (look.liveness, look.leg) == (UNKNOWN, None)
    assert isinstance(look.why, Unreachable)


@pytest.mark.parametrize("people", [None, "x", [None, 3], [{"messages": "x"}], [{"messages": [{}]}]])
def test_what_is_not_of_the_shape_is_no_leg(people: object) -> None:
    assert leg_of({"participants": people}, BY_AGENT) is None
