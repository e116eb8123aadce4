from relay.observe.health import Check, Health

FINE = Check("outbox", is_ok=True)
BROKEN = Check("gateway:guest", is_ok=False, reason="circuit open since 4 s")


def test_alive_is_the_loop_alone() -> None:
    assert Health(lag_ms=999, checks=(BROKEN,)).is_alive
    assert not Health(lag_ms=1000, checks=(FINE,)).is_alive


def test_ready_needs_every_check_and_a_live_loop() -> None:
    assert Health(lag_ms=0, checks=(FINE,)).is_ready
    assert not Health(lag_ms=0, checks=(FINE, BROKEN)).is_ready
    assert not Health(lag_ms=5000, checks=(FINE,)).is_ready


def test_what_is_shown_names_each_check_and_its_reason() -> None:
    shown = Health(lag_ms=1.26, checks=(FINE, BROKEN)).shown()
    assert shown == {
        "status": "not ready",
        "lagMs": 1.3,
        "configGeneration": 1,
        "checks": [
            {"name": "outbox", "ok": True, "reason": ""},
            {"name": "gateway:guest", "ok": False, "reason": "circuit open since 4 s"},
        ],
    }
