from relay.core.engagement import Broadcast
from relay.core.indicator import Cause, Indicator
from relay.observe.tally import TAIL, BroadcastTally


def broadcast(number: int = 0, *, success: bool = True) -> Broadcast:
    return Broadcast(
        audit_id=f"audit-{number}",
        key=("guest", "s1"),
        guest_id="g1",
        source="desk",
        indicator=Indicator.TYPING,
        duration_ms=3000,
        cause=Cause.START,
        success=success,
        status=200 if success else 503,
        error=None if success else "status",
        message="",
        latency_ms=12,
        attempts=1,
        is_given_up=False,
        at=1_795_000_000_000,
    )


def test_before_the_first_attempt_the_rate_is_nought_and_a_number() -> None:
    assert BroadcastTally().shown() == {
        "displayRate": 0.0,
        "stats": {"total": 0, "success": 0, "failed": 0},
        "auditLog": [],
    }


def test_the_display_rate_has_three_decimals() -> None:
    tally = BroadcastTally()
    for success in (True, True, False):
        tally.note(broadcast(success=success))
    assert tally.display_rate == 0.667
    assert type(tally.shown()["displayRate"]) is float


def test_the_log_keeps_the_last_hundred_and_the_figures_all() -> None:
    tally = BroadcastTally()
    for number in range(1000):
        tally.note(broadcast(number))
    shown = tally.shown()
    log = shown["auditLog"]
    assert isinstance(log, list)
    assert [entry["auditId"] for entry in (log[0], log[-1])] == ["audit-900", "audit-999"]
    assert len(log) == TAIL == 100
    assert shown["stats"] == {"total": 1000, "success": 1000, "failed": 0}
