"""What the operator can see of a relay at work, and what nobody may ask it."""

import re

from prometheus_client.parser import text_string_to_metric_families

from relay import wire
from relay.sandbox.chaos import Forced
from tests.whole.process import ROOT, until
from tests.whole.town import GUEST, Town, event, session_id

SERIES = {
    "relay_events",
    "relay_broadcasts",
    "relay_event_to_accepted_seconds",
    "relay_display_ratio",
    "relay_coalescing_ratio",
    "relay_limiter_headroom_ratio",
    "relay_platform_429",
    "relay_sessions",
    "relay_tick_lag_seconds",
    "relay_outbox_deliveries",
    "relay_outbox_undelivered_bytes",
    "relay_outbox_oldest_pending_seconds",
    "relay_deliveries_ended",
    "relay_deliveries_shed",
    "relay_delivery_attempts",
    "relay_outbox_commit_rows",
    "relay_outbox_commit_seconds",
}
"""What an operator is promised to find, whatever else there is."""


RUN_BOOK = (ROOT / "deploy" / "README.md").read_text()
ALERTED_ON = {
    "relay_outbox_refused_total",
    "relay_platform_429_total",
    "relay_dropped_indicators_total",
    "relay_config_reloads_total",
    "relay_lane_faults_total",
    "relay_refused_requests_total",
    "relay_delivery_attempts_total",
}
"""Counters whose first event is worth an alert."""
PLATFORM = {
    "RELAY_SOURCES__HUB__ADAPTER": "genesys-open",
    "RELAY_SOURCES__HUB__SECRETS": "the-integration's-own-secret",
}
"""A source that may count by itself."""


async def test_every_series_the_run_book_names_is_there_before_anything_has_happened(town: Town) -> None:
    """Some began with their first event: no alert saw that one, and a misspelt name looked like a quiet one."""
    named = set(re.findall(r"`(relay_[a-z0-9_]+)`", RUN_BOOK))
    assert len(named) > 10
    async with town.relay(**PLATFORM) as relay:
        text = (await town.look(relay, "/metrics")).body.decode()
    samples = {s.name: s for family in text_string_to_metric_families(text) for s in family.samples}
    assert named | ALERTED_ON <= samples.keys()
    assert [samples[name].value for name in sorted(ALERTED_ON)] == [0] * len(ALERTED_ON)


async def test_the_operators_doors_tell_of_a_typing_session(town: Town) -> None:
    async with town.relay({}) as relay:
        await town.type(relay)
        await until(lambda: town.events("typing_indicator.broadcast"), within_s=5)
        alive = await town.look(relay, "/healthz")
        ready = await town.look(relay, "/readyz")
        metrics = await town.look(relay, "/metrics")
        figures = (await town.look(relay, "/v1/metrics")).value
        sessions = (await town.look(relay, "/v1/sessions")).value
        session = (await town.look(relay, f"/v1/sessions/{session_id()}")).value
        unknown = await town.look(relay, f"/v1/sessions/{session_id(9)}")
        rows = await town.audit(relay, f"?session={session_id()}")
        lines = await town.look(relay, "/v1/audit", Accept="application/x-ndjson")
        dead = (await town.look(relay, "/v1/deliveries?state=exhausted")).value
    assert (alive.status, alive.value) == (200, {"status": "alive"})
    assert (ready.status, ready.value["status"]) == (200, "ready")
    assert all(check["ok"] for check in ready.value["checks"])

    families = {f.name: f for f in text_string_to_metric_families(metrics.body.decode())}
    assert families.keys() >= SERIES
    accepted = {(s.labels["source"], s.labels["outcome"]): s.value for s in families["relay_events"].samples}
    assert accepted["local", "accepted"] == 1
    assert sum(s.value for s in families["relay_sessions"].samples) == 1

    assert set(figures) == {"displayRate", "stats", "auditLog"}
    assert figures["displayRate"] == 1.0
    assert figures["stats"] == {"total": 1, "success": 1, "failed": 0}
    assert len(figures["auditLog"]) == 1

    assert sessions["alive"] == 1
    assert sessions["sessions"][0]["sessionId"] == session_id()
    assert (session["state"], session["shown"], session["guestId"]) == ("typing", "typing", GUEST)
    assert 0 < session["visibleForMs"] <= 3000
    assert unknown.status == 404
    assert [(row["type"], row["success"], row["status"]) for row in rows] == [("typing", True, 200)]
    assert [wire.loads(line)["auditId"] for line in lines.body.splitlines()] == [rows[0]["auditId"]]
    assert dead == {"deliveries": []}


async def test_the_relays_figures_agree_with_what_platform_and_tracker_counted(town: Town) -> None:
    async with town.relay() as relay:
        for number in range(5):
            await town.type(relay, number)
        await until(
            lambda: all(town.transitions(n)[-1:] == [("stopped", "silence")] for n in range(5)), within_s=10
        )
        await until(lambda: len(town.events("typing_indicator")) == len(town.platform.arrivals), within_s=5)
        metrics = await town.look(relay, "/metrics")
        figures = (await town.look(relay, "/v1/metrics")).value
    families = {f.name: f for f in text_string_to_metric_families(metrics.body.decode())}
    told = {sample.labels["outcome"]: 0.0 for sample in families["relay_broadcasts"].samples}
    for sample in families["relay_broadcasts"].samples:
        told[sample.labels["outcome"]] += sample.value
    assert told == {"accepted": len(town.platform.arrivals)}
    assert figures["stats"]["success"] == len(town.platform.arrivals)
    attempts = sum(sample.value for sample in families["relay_delivery_attempts"].samples)
    assert attempts == len(town.receiver.got)


async def test_a_wrong_client_secret_shows_in_readiness_with_its_fix(town: Town) -> None:
    async with town.relay(GENESYS_CLIENT_SECRET="a-wrong-one") as relay:
        await until(lambda: town.platform.identity.refused, within_s=5)
        reply = await town.look(relay, "/readyz")
        alive = await town.look(relay, "/healthz")
    assert (reply.status, alive.status) == (503, 200)
    (failing,) = [check for check in reply.value["checks"] if not check["ok"]]
    assert failing["name"] == "gateway guest"
    assert "client not found" in failing["reason"]
    assert "check client id and secret" in failing["reason"]
    assert "a-wrong-one" not in reply.body.decode()


RUBBISH = [
    "/v1/audit?limit=0",
    "/v1/audit?limit=1001",
    "/v1/audit?limit=-1",
    "/v1/audit?limit=ten",
    "/v1/audit?limit=",
    "/v1/audit?limit=%D9%A3",
    "/v1/audit?since=yesterday",
    "/v1/audit?since=2026-13-45T00:00:00Z",
    "/v1/deliveries?state=lost",
    "/v1/deliveries?since=0",
    "/v1/sessions?limit=1e3",
]


async def test_questions_that_mean_nothing_are_refused_and_not_repeated(town: Town) -> None:
    async with town.relay() as relay:
        replies = [await town.look(relay, path) for path in RUBBISH]
        assert (await town.look(relay, "/v1/nothing")).status == 404
        assert (await town.look(relay, "/v1/sessions/%2e%2e%2f%00")).status == 404
    assert {path: reply.status for path, reply in zip(RUBBISH, replies, strict=True)} == dict.fromkeys(
        RUBBISH, 422
    )
    assert not any("yesterday" in reply.body.decode() or "lost" in reply.body.decode() for reply in replies)


FOREIGN = [
    {"Host": "relay.attacker.example"},
    {"Host": "127.0.0.1.attacker.example:80"},
    {"Origin": "https://attacker.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]


async def test_a_foreign_page_reaches_neither_listener(town: Town) -> None:
    async with town.relay() as relay:
        for headers in FOREIGN:
            public = await town.post(relay, event(), **headers)
            operations = [
                await town.look(relay, path, **headers) for path in ("/v1/audit", "/metrics", "/readyz")
            ]
            assert [reply.status for reply in (public, *operations)] == [403] * 4, headers
        assert (await town.look(relay, "/v1/sessions")).value["alive"] == 0


async def test_the_operators_doors_only_read_and_say_so(town: Town) -> None:
    async with town.relay() as relay:
        for path in ("/healthz", "/readyz", "/metrics", "/v1/metrics", "/v1/sessions", "/v1/audit"):
            for method in ("POST", "PUT", "DELETE"):
                reply = await town.ask(method, relay.operations + path, {})
                assert reply.status == 405, (method, path)
                assert set(reply.headers["Allow"].split(", ")) == {"GET", "HEAD"}
        assert (await town.ask("HEAD", relay.operations + "/readyz")).status == 200
        public = await town.ask("GET", relay.public + "/v1/events")
    assert (public.status, public.headers["Allow"]) == (405, "POST")


async def test_a_platform_that_fails_does_not_make_the_relay_unready(town: Town) -> None:
    """Restarting or removing the relay would mend nothing: it goes on by itself, and its figures say what is wrong."""
    town.platform.mischief.force(*[Forced(status=503)] * 20)
    async with town.relay() as relay:
        for number in range(6):
            await town.type(relay, number)
        await until(lambda: len(town.platform.arrivals) >= 5, within_s=5)
        ready = await town.look(relay, "/readyz")
        figures = (await town.look(relay, "/v1/metrics")).value
    assert ready.status == 200
    assert figures["displayRate"] == 0.0
