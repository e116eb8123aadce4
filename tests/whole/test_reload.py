"""A running relay told to read its settings again."""

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from relay.ingest.keys import NewKey, new_key
from tests.outbox.receiver import NEW_SECRET, SECRET
from tests.whole.process import serving, until
from tests.whole.town import BRISK, Reply, Town, event, session_id, town_at


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_at(tmp_path) as town:
        yield town


def key() -> NewKey:
    return new_key("desk", random=secrets.token_bytes)


def write(town: Town, *parts: str) -> None:
    (town.home / "relay.toml").write_text("\n".join(parts))


def bearer(one: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {one.key}"}


async def hung_up(pid: int) -> None:
    """While the process still loads its modules, and again as soon as it has a use for it."""
    status, bit = Path(f"/proc/{pid}/status"), 1 << (signal.SIGHUP - 1)

    def is_in(mask: str) -> bool:
        masks = dict(line.split(":\t") for line in status.read_text().splitlines() if line.startswith("Sig"))
        return bool(int(masks[mask], 16) & bit)

    for mask in ("SigIgn", "SigCgt"):
        await until(partial(is_in, mask), within_s=10, what=mask)
        os.kill(pid, signal.SIGHUP)


async def test_a_hangup_while_it_starts_ends_no_relay(town: Town) -> None:
    """Escaped because a relay was told to reload once it was ready: a unit that is restarted and reloaded is not yet."""
    async with serving(town.home, town.environ | dict(BRISK), meanwhile=hung_up) as relay:
        await town.type(relay)
        assert await relay.stop() == 0


async def reload(town: Town, operations: str) -> Reply:
    return await town.ask("POST", f"{operations}/v1/reload")


async def test_a_key_is_revoked_by_deleting_its_line(town: Town) -> None:
    old, new = key(), key()
    write(town, old.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        assert (await town.post(relay, event(1), **bearer(old))).status == 202
        assert (await town.post(relay, event(1), **bearer(new))).status == 401
        write(town, new.toml)
        assert (await reload(town, relay.operations)).value == {
            "generation": 2,
            "changed": ["sources.desk.keys"],
        }
        assert (await town.post(relay, event(1), **bearer(old))).status == 401
        assert (await town.post(relay, event(1), **bearer(new))).status == 202


async def test_a_file_that_is_wrong_keeps_the_old_settings_and_says_so(town: Town) -> None:
    one = key()
    write(town, one.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        for rubbish in ("[sources", '[logging]\nlevel = "loud"', "[audit]\nmax_rows = 5000"):
            write(town, key().toml, rubbish)
            reply = await reload(town, relay.operations)
            assert (reply.status, reply.value["title"]) == (422, "Not taken over")
            assert (await town.post(relay, event(1), **bearer(one))).status == 202
        assert len(relay.logged("config.reloaded")) == 3
        ready = (await town.look(relay, "/readyz")).value
        assert (ready["status"], ready["configGeneration"]) == ("ready", 1)


async def test_a_made_secret_that_is_gone_refuses_the_reload_by_its_file(town: Town) -> None:
    del town.environ["WEBHOOK_SECRET"]
    async with town.relay(BRISK) as relay:
        (town.home / "typing-relay.db.secret").unlink()
        reply = await reload(town, relay.operations)
        assert (reply.status, reply.value["title"]) == (422, "Not taken over")
        assert "typing-relay.db.secret" in reply.value["detail"]
        assert "put it back" in reply.value["detail"]
        assert not (town.home / "typing-relay.db.secret").exists()


async def test_what_was_posted_before_a_reload_is_still_a_duplicate_after_it(town: Town) -> None:
    write(town)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        first = await town.post(relay, event(1, id="evt-1"))
        write(town, '[logging]\nlevel = "warning"')
        assert (await reload(town, relay.operations)).status == 200
        again = await town.post(relay, event(1, id="evt-1"))
        assert (first.value["duplicates"], again.value["duplicates"]) == (0, 1)


async def test_a_reload_refills_no_limiter(town: Town) -> None:
    write(town)
    slow = {"RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE": "10", "RELAY_GATEWAYS__GUEST__BURST": "3"}
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml", **slow) as relay:
        for number in range(1, 7):
            await town.type(relay, number)
        await asyncio.sleep(0.5)
        sent = len(town.platform.arrivals)
        write(town, '[logging]\nlevel = "warning"')
        assert (await reload(town, relay.operations)).status == 200
        await asyncio.sleep(0.5)
        assert len(town.platform.arrivals) == sent > 0


async def test_a_secret_is_rotated_without_a_restart(town: Town) -> None:
    def tracker(*held: str) -> str:
        listed = ", ".join(f'"{secret}"' for secret in held)
        return f'[endpoints.crm]\nurl = "{town.receiver.url}"\nallow_cidrs = ["127.0.0.0/8"]\nsecrets = [{listed}]\n'

    write(town, tracker(SECRET))
    del town.environ["WEBHOOK_URL"], town.environ["WEBHOOK_SECRET"]
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        await town.type(relay, 1)
        await until(lambda: town.events("session.typing"), within_s=5)
        write(town, tracker(NEW_SECRET))
        assert (await reload(town, relay.operations)).value["changed"] == ["endpoints.crm.secrets"]
        await town.type(relay, 2)
        # Of the first session something may still be on its way, and ends as it began.
        mine = await until(
            lambda: [got for got in town.receiver.got if got.data.get("sessionId") == session_id(2)],
            within_s=5,
        )
        fresh = mine[0]
        assert Webhook(NEW_SECRET).verify(fresh.body, fresh.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(fresh.body, fresh.headers)


async def test_a_hundred_hangups_half_of_them_with_rubbish_cost_no_event(town: Town) -> None:
    one = key()
    good = (one.toml + '[logging]\nlevel = "info"', one.toml + '[logging]\nlevel = "warning"')
    write(town, good[0])
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        for number in range(100):
            write(town, good[number // 2 % 2] if number % 2 else "[sources")
            relay.send(signal.SIGHUP)
            reply = await town.post(relay, event(number % 5, id=f"evt-{number}"), **bearer(one))
            assert (reply.status, reply.value["accepted"]) == (202, 1)
            await asyncio.sleep(0.005)
        outcomes = await until(
            lambda: {line["outcome"] for line in relay.logged("config.reloaded")}, within_s=5
        )
        assert "refused" in outcomes
        write(town, good[0])
        assert (await reload(town, relay.operations)).status == 200
        assert await relay.stop() == 0


async def test_revoking_the_last_key_never_opens_the_door(town: Town) -> None:
    one = key()
    write(town, one.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        write(town, "# the only key is gone, and with it its source")
        assert (await reload(town, relay.operations)).status == 422
        assert (await town.post(relay, event(1))).status == 401
        write(town, "[sources.desk]")
        assert (await reload(town, relay.operations)).status == 200
        assert (await town.post(relay, event(1))).status == 401
        assert (await town.post(relay, event(1), **bearer(one))).status == 401


async def test_a_reload_that_fails_by_surprise_leaves_the_next_signal_its_turn(town: Town) -> None:
    write(town)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        shutil.rmtree(town.home)  # a release that was cleared away: there is no working directory any more
        told = "a fault of the relay: nothing was reloaded, the next signal tries again"
        relay.send(signal.SIGHUP)
        await until(lambda: relay.logged(told) or None, within_s=5)
        relay.send(signal.SIGHUP)
        await until(lambda: len(relay.logged(told)) == 2 or None, within_s=5)
