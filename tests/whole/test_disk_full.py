"""The disk fills up while the relay serves, and is emptied again."""

import resource

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.whole.process import RelayProcess, until
from tests.whole.test_platform_trouble import PLENTY
from tests.whole.town import Town, session_id

if not hasattr(resource, "prlimit"):
    pytest.skip("a child's file size can only be limited on Linux", allow_module_level=True)


def limit_file_size(relay: RelayProcess, limit_bytes: int) -> None:
    """No file of the relay may grow past it: what a full disk is to a file that wants to."""
    _, hard = resource.prlimit(relay.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


async def shown(town: Town, relay: RelayProcess, series: str, label: str) -> dict[str, float]:
    """A series' values by one of its labels."""
    text = (await town.look(relay, "/metrics")).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {sample.labels[label]: sample.value for sample in families[series].samples}


async def refused(town: Town, relay: RelayProcess) -> dict[str, float]:
    counts = await shown(town, relay, "relay_outbox_refused", "reason")
    return {reason: count for reason, count in counts.items() if count}


async def test_a_full_disk_stops_no_indicator_and_is_counted_and_recovers(town: Town) -> None:
    async with town.relay(**PLENTY) as relay:
        await town.type(relay, 0)
        await until(lambda: town.events("typing_indicator.broadcast"), within_s=5)

        limit_file_size(relay, 1024)
        for number in range(1, 6):
            await town.type(relay, number)
        await until(lambda: all(town.told(number) for number in range(1, 6)), within_s=5)
        counts = await refused(town, relay)
        ready = await town.look(relay, "/readyz")
        order = await town.order(relay, 100)
        assert sum(counts.values()) >= 5
        assert set(counts) <= {"disk_full", "write_failed", "queue_full"}
        assert ready.status == 503
        (failing,) = [check for check in ready.value["checks"] if not check["ok"]]
        assert failing["name"] == "outbox"
        assert "disk" in failing["reason"]
        assert await shown(town, relay, "relay_ready", "check") == {
            "serving": 1,
            "outbox": 0,
            "gateway guest": 1,
        }
        assert order.status == 503, "a broadcast without its audit row must not be called a success"
        assert town.told(100) == ["typing"]
        assert order.value["detail"].startswith("the broadcast was made, but its audit row")
        assert relay.logged("event.unrecorded")

        limit_file_size(relay, resource.RLIM_INFINITY)
        seen = len(town.receiver.got)
        await town.type(relay, 50)
        await until(lambda: len(town.receiver.got) > seen, within_s=5)
        assert (await town.look(relay, "/readyz")).status == 200
        await until(lambda: town.transitions(50)[-1:] == [("stopped", "silence")], within_s=10)
        assert await relay.stop() == 0
    # A tracker's proof of what it never saw: a lost first event used its number up.
    for number in range(1, 6):
        mine = [e for e in town.events("session.") if e.data["sessionId"] == session_id(number)]
        assert mine, "recording had resumed before this session stopped"
        assert min(e.data["sequence"] for e in mine) > 1
