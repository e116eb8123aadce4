import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from relay import wire
from relay.core.signature import Check
from relay.sandbox.tracker import Ledger, Received, Tracker

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the Standard Webhooks specification


def received(message_id: str, sequence: int | None = None, session: str = "s") -> Received:
    data = {"gateway": "guest", "sessionId": session, "sequence": sequence}
    return Received(0, message_id, "session.typing", {"data": data})


class Sender:
    """Signs with the reference library, so that tracker and relay cannot share a mistake."""

    def __init__(self, tracker: Tracker, http: aiohttp.ClientSession) -> None:
        self.tracker = tracker
        self.http = http

    async def send(self, message_id: str, body: dict[str, Any], *, secret: str = SECRET) -> int:
        at, text = datetime.now(UTC), wire.dumps(body).decode()
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, at, text),
        }
        async with self.http.post(self.tracker.url, data=text, headers=headers) as response:
            return response.status


@asynccontextmanager
async def sender() -> AsyncIterator[Sender]:
    async with Tracker([SECRET]) as tracker, aiohttp.ClientSession() as http:
        yield Sender(tracker, http)


def test_a_repeated_id_is_a_duplicate_and_counts_once() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.note(received("msg_1", 1))
    assert (ledger.accepted, ledger.duplicates, ledger.gaps, ledger.disorders) == (1, 2, 0, 0)


def test_a_hole_in_a_sessions_sequence_is_a_gap() -> None:
    ledger = Ledger()
    for sequence in (1, 2, 4):
        ledger.note(received(f"msg_{sequence}", sequence))
    assert (ledger.gaps, ledger.disorders) == (1, 0)


def test_an_older_sequence_after_a_newer_is_a_disorder() -> None:
    ledger = Ledger()
    for sequence in (1, 2, 3, 2):
        ledger.note(received(f"msg_{sequence}_{len(ledger.received)}", sequence))
    assert (ledger.gaps, ledger.disorders) == (0, 1)


def test_sessions_and_events_without_sequence_do_not_disturb_each_other() -> None:
    ledger = Ledger()
    for place, (sequence, session) in enumerate([(1, "a"), (1, "b"), (None, "a"), (2, "a"), (2, "b")]):
        ledger.note(received(f"msg_{place}", sequence, session))
    assert (ledger.accepted, ledger.gaps, ledger.disorders) == (5, 0, 0)


async def test_an_event_signed_by_the_reference_library_is_accepted() -> None:
    async with sender() as it:
        assert await it.send("msg_1", {"type": "session.typing", "data": {}}) == 204
        assert it.tracker.ledger.accepted == 1
        assert it.tracker.ledger.received[0].type == "session.typing"


async def test_an_event_signed_with_another_secret_is_refused_and_counted() -> None:
    async with sender() as it:
        other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
        assert await it.send("msg_1", {"type": "x"}, secret=other) == 401
        assert it.tracker.ledger.unverified == {Check.NO_MATCH: 1}
        assert it.tracker.ledger.accepted == 0


async def test_an_unsigned_event_is_refused() -> None:
    async with sender() as it, it.http.post(it.tracker.url, data=b"{}") as response:
        assert response.status == 401


async def test_a_broken_tracker_answers_so_and_notes_nothing() -> None:
    async with sender() as it:
        await it.http.post(f"{it.tracker.base_url}/tracker/switches", json={"status": 500})
        assert await it.send("msg_1", {"type": "x"}) == 500
        assert it.tracker.ledger.accepted == 0


async def test_a_dead_tracker_cuts_the_connection() -> None:
    async with sender() as it:
        await it.http.post(f"{it.tracker.base_url}/tracker/switches", json={"is_dead": True})
        with pytest.raises(aiohttp.ClientError):
            await it.send("msg_1", {"type": "x"})
        assert it.tracker.ledger.accepted == 0


@pytest.mark.looptime
async def test_a_slow_tracker_takes_its_time(looptime: Any) -> None:  # the plugin's own type has no name
    async with sender() as it:
        await it.http.post(f"{it.tracker.base_url}/tracker/switches", json={"delay_ms": 4000})
        await it.send("msg_1", {"type": "x"})
        assert looptime == pytest.approx(4.0, abs=0.05)


async def test_a_bad_switch_is_refused() -> None:
    async with sender() as it:
        url = f"{it.tracker.base_url}/tracker/switches"
        async with it.http.post(url, json={"status": 7}) as response:
            assert response.status == 422


async def test_what_came_is_listed_with_the_figures() -> None:
    async with sender() as it:
        await it.send("msg_1", {"type": "session.typing", "data": {"sessionId": "s", "sequence": 1}})
        async with it.http.get(f"{it.tracker.base_url}/tracker/events") as response:
            listed = await response.json()
        assert (listed["accepted"], listed["gaps"], listed["events"][0]["message_id"]) == (1, 0, "msg_1")
        assert listed["events"][0]["at"] == pytest.approx(time.time() * 1000, abs=60_000)


async def test_timestamps_are_held_against_the_clock_it_was_given() -> None:
    """Five minutes either way are tolerated (Standard Webhooks, verification); an hour is not."""
    an_hour_on = time.time_ns() // 1_000_000 + 3_600_000
    async with Tracker([SECRET], wall=lambda: an_hour_on) as tracker, aiohttp.ClientSession() as http:
        assert await Sender(tracker, http).send("msg_1", {"type": "x"}) == 401
        assert tracker.ledger.unverified.total() == 1


async def test_whoever_asked_is_told_of_each_event_once() -> None:
    told: list[Received] = []
    async with Tracker([SECRET], on_received=told.append) as tracker, aiohttp.ClientSession() as http:
        for message_id in ("msg_1", "msg_1", "msg_2"):
            await Sender(tracker, http).send(message_id, {"type": "session.typing", "data": {}})
    assert [event.message_id for event in told] == ["msg_1", "msg_2"]
