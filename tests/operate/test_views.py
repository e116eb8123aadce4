from typing import Any

from relay.core.activity import Kind
from relay.core.moments import Ms
from relay.core.rest import rest_of
from relay.core.session import Session
from relay.operate.views import rest_view, session_view
from tests.operate.house import SESSION, House


async def typing(house: House) -> tuple[Session, Ms]:
    """A session whose indicator is shown, and the time."""
    house.type()
    await house.audited(1)
    flow = house.assembly.flow
    session = flow.sessions.get(("guest", SESSION))
    assert session is not None
    return session, flow.world.now()


async def test_a_typing_session_shows_what_is_wanted_shown_and_waited_for(house: House) -> None:
    session, now = await typing(house)
    view = session_view(session, now)
    assert (view["state"], view["shown"], view["standing"]) == ("typing", "typing", "ON.w")
    assert view["owesStop"] is True
    assert view["mutedBecause"] is None
    gate, visible = view["gateOpensInMs"], view["visibleForMs"]
    assert isinstance(gate, int)
    assert isinstance(visible, int)
    assert gate <= 2000
    assert visible <= 3000
    (actor,) = (await house.ask(f"/v1/sessions/{SESSION}")).value["actors"]
    assert actor.pop("silentForMs") >= 0
    assert actor == {"id": "agent-7", "state": "typing", "public": True, "thinkingId": None}


async def test_what_is_over_is_null_and_not_a_negative_span(house: House) -> None:
    session, now = await typing(house)
    view = session_view(session, now + 60_000)
    assert (view["shown"], view["visibleForMs"], view["gateOpensInMs"]) == (None, None, None)


async def test_a_session_at_rest_is_shown_as_what_it_is(house: House) -> None:
    session, now = await typing(house)
    rest = rest_of(session, now)
    view = rest_view(session.key, rest, now)
    live = session_view(session, now)
    assert view.keys() == live.keys()
    assert [view[name] for name in ("gateway", "sessionId", "guestId")] == [
        live[name] for name in ("gateway", "sessionId", "guestId")
    ]
    assert (view["state"], view["standing"], view["shown"]) == ("typing_stopped", "OFF.o", None)


async def test_a_session_whose_tries_are_used_up_says_for_how_long(house: House) -> None:
    session, now = await typing(house)
    assert session_view(session, now)["givenUpForMs"] is None
    session.pacer.given_up_until = now + 5000
    assert session_view(session, now)["givenUpForMs"] == 5000


async def test_a_refused_session_says_why_it_is_left_alone(house: House) -> None:
    house.platform.mischief.change({"session_status": "ENDED"})
    house.type()
    await house.audited(1)
    (view,) = (await house.ask("/v1/sessions")).value["sessions"]
    assert (view["standing"], view["mutedBecause"]) == ("MUTE", "inactive")


async def test_an_audit_row_has_everything_about_one_attempt(house: House) -> None:
    house.type()
    (row,) = await house.audited(1)
    assert set(row) == {
        "auditId", "timestamp", "gateway", "sessionId", "guestId", "source", "type", "durationMs", "cause",
        "success", "status", "error", "message", "latencyMs", "attempts",
    }  # fmt: skip
    assert (row["source"], row["cause"], row["durationMs"]) == ("desk", "start", 3000)


async def test_a_delivery_shows_its_last_answer(house: House) -> None:
    house.receiver.answers = [503]
    house.type()
    house.act(Kind.CLEARED)
    await house.receiver.until(1)
    rows: list[dict[str, Any]] = []
    while not any(row["attempts"] for row in rows):
        rows = (await house.ask("/v1/deliveries?state=pending")).value["deliveries"]
    (tried,) = [row for row in rows if row["attempts"]]
    assert (tried["lastStatus"], tried["lastFailure"]) == (503, "status")
    assert tried["dueAt"] > tried["recordedAt"]
    assert tried["finishedAt"] is None
