import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest

from relay import wire
from relay.core.activity import Kind
from relay.errors import Unavailable
from relay.observe.health import Check, Health
from tests.operate.house import OTHER, SESSION, House


async def endpoint_of(house: House) -> dict[str, Any]:
    """The tracker as it is shown, once it was sent something, within five seconds."""
    async with asyncio.timeout(5):
        while not (shown := (await house.ask("/v1/endpoints")).value["endpoints"][0])["since"]:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    return dict(shown)


async def test_a_stalled_loop_is_not_alive(house: House) -> None:
    house.health = Health(1000.0)
    reply = await house.ask("/healthz")
    assert (reply.status, reply.value) == (503, {"status": "stalled"})


async def test_alive_does_not_ask_whether_anything_else_works(house: House) -> None:
    house.health = Health(0.0, (Check("outbox", is_ok=False, reason="the disk is full"),))
    assert (await house.ask("/healthz")).status == 200


async def test_readiness_names_what_fails_and_why(house: House) -> None:
    assert (await house.ask("/readyz")).status == 200
    house.health = Health(0.0, (Check("outbox", is_ok=False, reason="the disk is full"),))
    reply = await house.ask("/readyz")
    assert reply.status == 503
    assert reply.value["checks"] == [{"name": "outbox", "ok": False, "reason": "the disk is full"}]


async def test_a_session_is_found_by_its_id_while_it_lives(house: House) -> None:
    assert (await house.ask(f"/v1/sessions/{SESSION}")).status == 404
    house.type()
    reply = await house.ask(f"/v1/sessions/{SESSION}")
    assert (reply.value["sessionId"], reply.value["state"]) == (SESSION, "typing")


async def test_sessions_are_counted_whole_and_listed_up_to_the_limit(house: House) -> None:
    house.type(SESSION)
    house.type(OTHER)
    value = (await house.ask("/v1/sessions?limit=1")).value
    assert (value["alive"], len(value["sessions"])) == (2, 1)


async def test_the_audit_is_newest_first_and_can_be_narrowed(house: House) -> None:
    house.type(SESSION)
    await house.audited(1)
    house.type(OTHER)
    newest, oldest = await house.audited(2)
    assert (newest["sessionId"], oldest["sessionId"]) == (OTHER, SESSION)
    of_one = (await house.ask(f"/v1/audit?session={SESSION}")).value["audit"]
    assert [row["auditId"] for row in of_one] == [oldest["auditId"]]
    one = (await house.ask("/v1/audit?limit=1")).value["audit"]
    assert [row["auditId"] for row in one] == [newest["auditId"]]
    recent = (await house.ask(f"/v1/audit?since={quote(newest['timestamp'])}")).value["audit"]
    assert newest["auditId"] in [row["auditId"] for row in recent]
    assert (await house.ask("/v1/audit?since=2100-01-01T00:00:00Z")).value == {"audit": []}


async def test_the_audit_is_exported_a_line_a_row(house: House) -> None:
    house.type(SESSION)
    rows = await house.audited(1)
    reply = await house.ask("/v1/audit", Accept="application/x-ndjson")
    assert reply.headers["Content-Type"].startswith("application/x-ndjson")
    assert [wire.loads(line) for line in reply.body.splitlines()] == rows


async def test_deliveries_can_be_narrowed_by_state_endpoint_and_session(house: House) -> None:
    house.receiver.answers = [503]  # tried again five seconds later, and its session's others wait for it
    house.type(SESSION)
    await house.receiver.until(1)
    pending = (await house.ask(f"/v1/deliveries?state=pending&session={SESSION}")).value["deliveries"]
    assert {row["sessionId"] for row in pending} <= {SESSION}
    assert {row["endpoint"] for row in (await house.ask("/v1/deliveries")).value["deliveries"]} == {"tracker"}
    for query in ("endpoint=nobody", "state=exhausted", f"session={OTHER}", "since=2100-01-01T00:00:00Z"):
        assert (await house.ask(f"/v1/deliveries?{query}")).value == {"deliveries": []}, query


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-5",
        "limit=",
        "limit=000001000000009",
        "limit=" + "9" * 400,
        "since=now",
        "since=",
        "since=2026-11-22",
        "since=2026-11-22T10:00:00",
        "since=2026-02-30T10:00:00Z",
    ],
)
async def test_a_query_that_means_nothing_is_422_and_not_repeated(house: House, query: str) -> None:
    reply = await house.ask(f"/v1/audit?{query}")
    assert reply.status == 422
    assert query.encode() not in reply.body


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "/v1/deliveries?sate=pending",
            "only state, endpoint, session, since, limit, before may be asked here",
        ),
        ("/v1/audit?limit=5&a-canary=1", "only session, since, limit, before may be asked here"),
        ("/v1/endpoints?a-canary", "nothing may be asked here"),
        ("/v1/deliveries/1?a-canary=1", "nothing may be asked here"),
        ("/docs?a-canary=1", "nothing may be asked here"),
    ],
)
async def test_a_query_by_a_name_that_is_none_is_422_with_those_that_are(
    house: House, path: str, words: str
) -> None:
    """What was misspelt was left out, and everything answered."""
    reply = await house.ask(path)
    assert (reply.status, reply.value["detail"], b"canary" in reply.body) == (422, words, False)


async def test_a_session_is_purged_only_by_queries_that_are_known(house: House) -> None:
    path = f"/v1/sessions/{OTHER}/purge"
    assert (await house.ask(f"{path}?gatway=guest", "POST")).status == 422
    assert (await house.ask(f"{path}?gateway=guest", "POST")).status == 200


async def test_a_probe_may_carry_what_it_likes(house: House) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await house.ask(f"{path}?target=relay")).status == 200


async def test_a_state_that_does_not_exist_is_told_the_ones_that_do(house: House) -> None:
    reply = await house.ask("/v1/deliveries?state=gone")
    assert reply.status == 422
    assert "exhausted" in reply.value["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_nothing_here_can_be_changed(house: House, method: str) -> None:
    """RFC 9110 section 15.5.6: a 405 comes with Allow."""
    reply = await house.ask("/v1/audit", method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/audit/", "/V1/audit", "/metrics/x"])
async def test_a_path_is_served_as_it_is_written_or_not_at_all(house: House, path: str) -> None:
    assert (await house.ask(path)).status == 404


async def test_a_name_rebound_to_this_machine_is_refused_before_anything_is_read(house: House) -> None:
    for path in ("/healthz", "/metrics", "/v1/audit"):
        assert (await house.ask(path, Host="attacker.example")).status == 403
        assert (await house.ask(path, Origin="https://attacker.example")).status == 403


async def test_an_outbox_that_cannot_be_read_is_503_and_not_500(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> list[object]:
        raise Unavailable("the outbox's file could not be read")

    monkeypatch.setattr(house.assembly.outbox.letters, "deliveries", broken)
    assert (await house.ask("/v1/deliveries")).status == 503


async def test_the_figures_count_every_outcome(house: House) -> None:
    house.type()
    await house.audited(1)
    house.act(Kind.MESSAGE_SENT)
    value = (await house.ask("/v1/metrics")).value
    assert value["displayRate"] == 1.0
    assert value["stats"] == {"total": 1, "success": 1, "failed": 0}


async def test_the_metrics_count_what_ended_and_weigh_what_waits(house: House) -> None:
    house.receiver.answers = [410]
    house.type(SESSION)
    await house.ended("cancelled")
    text = (await house.ask("/metrics")).body
    for line in (
        b'relay_deliveries_ended_total{state="cancelled"}',
        b"relay_deliveries_shed_total 0.0",
        b"\nrelay_outbox_undelivered_bytes ",
    ):
        assert line in text


async def test_a_tracker_that_said_gone_is_shown_taken_back_and_sent_what_it_missed(house: House) -> None:
    """One 410 once cut a tracker off for good: nothing said so, and nobody could undo it."""
    house.receiver.answers = [410]
    house.type(SESSION)
    missed = (await house.ended("cancelled"))[-1]
    (shown,) = (await house.ask("/v1/endpoints")).value["endpoints"]
    assert (shown["name"], shown["state"], shown["reason"]) == ("tracker", "disabled", "answered 410 Gone")
    assert b'relay_endpoint_disabled{endpoint="tracker"} 1.0' in (await house.ask("/metrics")).body
    assert (await house.ask("/v1/endpoints/tracker/resume", "POST")).value == {
        "resumed": True,
        "was": "disabled",
        "hurried": 0,
        "more": False,
    }
    assert (await house.ask(f"/v1/deliveries/{missed['id']}/replay", "POST")).status == 202
    await house.receiver.until(2)


async def test_a_tracker_that_never_answered_well_is_shown_no_success(house: House) -> None:
    """It was shown the moment of its first use: an operator looked for what had broken since then."""
    house.receiver.answers = [500]
    house.type(SESSION)
    assert (await endpoint_of(house))["lastSuccess"] is None
    house.type(OTHER)
    await house.ended("delivered")
    assert (await endpoint_of(house))["lastSuccess"] is not None


async def test_a_tracker_is_paused_shown_so_and_resumed(house: House) -> None:
    assert (await house.ask("/v1/endpoints/tracker/pause", "POST")).value == {
        "paused": True,
        "state": "paused",
    }
    house.type()
    await house.audited(1)
    (shown,) = (await house.ask("/v1/endpoints")).value["endpoints"]
    assert (shown["state"], shown["circuit"], shown["reason"]) == (
        "paused",
        "closed",
        "paused by its operator",
    )
    assert shown["waiting"] >= 1
    assert house.receiver.got == []
    metrics = (await house.ask("/metrics")).body
    assert b'relay_endpoint_paused{endpoint="tracker"} 1.0' in metrics
    assert b'relay_endpoint_circuit{circuit="closed",endpoint="tracker"} 1.0' in metrics
    assert (await house.ask("/v1/endpoints/tracker/resume", "POST")).value["was"] == "paused"
    await house.receiver.until(1)


async def test_a_tracker_whose_attempts_fail_is_shown_so_until_one_succeeds(house: House) -> None:
    """Six attempts had failed and thirty callbacks waited: it was active, and nothing else was said."""
    house.receiver.answers = [500]
    house.type(SESSION)
    await house.tried(1)
    failing = (await endpoint_of(house))["failing"]
    assert (failing["attempts"], failing["last"]) == (1, "it answered 500")
    house.type(OTHER)
    await house.ended("delivered")
    assert (await endpoint_of(house))["failing"] is None


async def test_a_tracker_that_is_back_is_sent_what_waits_once_it_is_resumed(house: House) -> None:
    """It was active all the time: told that it was neither paused nor disabled, it was left to its schedule."""
    house.receiver.answers = [500]
    house.type()
    await house.tried(1)
    assert (await house.ask("/v1/endpoints/tracker/resume", "POST")).value == {
        "resumed": False,
        "was": "active",
        "hurried": 1,
        "more": False,
    }
    async with asyncio.timeout(2):  # of the five seconds that the schedule has
        await house.receiver.until(2)


async def test_a_test_tells_what_the_tracker_answers_also_where_that_is_no_success(house: House) -> None:
    house.receiver.answers = [418]
    reply = await house.ask("/v1/endpoints/tracker/test", "POST")
    assert reply.status == 200
    assert (reply.value["success"], reply.value["status"], reply.value["failure"]) == (False, 418, "status")
    reply = await house.ask("/v1/endpoints/tracker/test", "POST")
    assert (reply.value["success"], reply.value["status"], reply.value["answer"]) == (True, 200, "")
    assert [got.type for got in house.receiver.got] == ["endpoint.test"] * 2


@pytest.mark.parametrize("deed", ["pause", "resume", "test"])
async def test_a_tracker_nobody_configured_is_answered_with_those_somebody_did(
    house: House, deed: str
) -> None:
    reply = await house.ask(f"/v1/endpoints/nobody/{deed}", "POST")
    assert reply.status == 404
    assert "tracker" in reply.value["detail"]
    assert "nobody" not in reply.value["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/deliveries/999/replay", 404),
        ("/v1/endpoints/nobody/resume", 404),
        ("/v1/deliveries/x/replay", 404),
    ],
)
async def test_a_deed_on_nothing_is_404(house: House, path: str, status: int) -> None:
    assert (await house.ask(path, "POST")).status == status


async def test_deeds_are_not_done_by_reading(house: House) -> None:
    reply = await house.ask("/v1/deliveries/1/replay")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


async def test_the_samples_of_its_page_are_of_the_listener_that_sent_it(
    house: House,
) -> None:
    """They were of the public listener, which answers 404, until a browser's script had run."""
    page = (await house.ask("/docs")).body.decode()
    samples = re.findall(r"curl -sS (?:-X POST )?(http://[0-9.:]+)(/[^\s\\<]*)", page)
    assert len(samples) > 20
    assert {origin for origin, _ in samples} == {house.url}
    assert f'data-origin="{house.url}"' in page


@pytest.mark.parametrize("path", ["/docs/", "/", "/v1/nothing"])
async def test_a_path_that_is_none_is_told_where_the_others_stand(house: House, path: str) -> None:
    reply = await house.ask(path)
    assert reply.status == 404
    assert "/docs tells what is" in reply.value["detail"]
    assert (await house.ask("/docs")).status == 200


async def test_a_reload_says_what_it_took_over(house: House) -> None:
    reply = await house.ask("/v1/reload", "POST")
    assert (reply.status, reply.value) == (200, {"generation": 2, "changed": ["sources.desk.keys"]})


async def test_a_refused_reload_says_why(house: House) -> None:
    house.reload_problem = "server.port: only a restart takes it over"
    reply = await house.ask("/v1/reload", "POST")
    assert (reply.status, reply.value["detail"]) == (422, house.reload_problem)


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/audit", "/v1/sessions", "/nowhere", "/docs"])
@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
async def test_no_answer_says_what_it_is_built_with(house: House, path: str, accept: str) -> None:
    assert (await house.ask(path, Accept=accept)).headers["Server"] == "typing-relay"


PROXIED = [
    {"Forwarded": "for=203.0.113.7"},
    {"X-Forwarded-For": "203.0.113.7"},
    {"x-forwarded-proto": "https"},
    {"Via": "1.1 gate"},
    {"X-Real-IP": "203.0.113.7"},
]


@pytest.mark.parametrize("said", PROXIED, ids=lambda said: next(iter(said)))
async def test_what_a_proxy_passed_on_is_not_from_this_machine(house: House, said: dict[str, str]) -> None:
    """Its Host is right: a proxy beside the relay would give everybody the operator's doors."""
    house.type()
    for method, path in [
        ("GET", "/v1/sessions"),
        ("GET", "/docs"),
        ("POST", f"/v1/sessions/{SESSION}/purge"),
        ("POST", "/v1/endpoints/tracker/pause"),
        ("POST", "/v1/reload"),
    ]:
        assert (await house.ask(path, method, **said)).status == 403, path
    assert [(await house.ask(path, **said)).status for path in ("/healthz", "/readyz", "/metrics")] == [
        200
    ] * 3
    assert (await house.ask("/v1/endpoints")).value["endpoints"][0]["state"] == "active"
