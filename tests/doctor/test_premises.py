import pytest

from relay.core.moments import UnixMs
from relay.doctor import premises
from relay.doctor.finding import Level
from relay.settings.models import Settings

NOW: UnixMs = 1_795_435_200_000


def test_every_reason_why_a_relay_would_not_start_is_a_finding_of_its_own() -> None:
    settings = Settings.model_validate({"operations": {"host": "0.0.0.0"}})
    found = [each for each in premises.usable(settings) if each.level is Level.FAIL]
    assert len(found) == 2
    assert {each.seen for each in found} == {"no gateway is configured", "operations.host cannot be used"}
    assert all(each.fix for each in found)


def test_settings_that_tell_nobody_are_doubtful() -> None:
    known = {"client_id": "i", "client_secret": "s", "base_url": "http://127.0.0.1:1"}
    found = list(premises.usable(Settings.model_validate({"gateways": {"guest": known}})))
    assert [each.level for each in found] == [Level.OK, Level.WARN]


@pytest.mark.parametrize(("lease_ms", "warned"), [(5000, 1), (10_999, 1), (11_000, 0), (15_000, 0)])
def test_a_lease_that_two_heartbeats_cannot_keep_is_doubtful(lease_ms: int, warned: int) -> None:
    known = {"client_id": "i", "client_secret": "s", "base_url": "http://127.0.0.1:1"}
    told = {"gateways": {"guest": known}, "typing": {"thinking_lease_ms": lease_ms}}
    found = list(premises.leases(Settings.model_validate(told)))
    assert [each.level for each in found] == [Level.WARN] * warned
    assert all("gateway guest" in each.about and each.fix for each in found)


def test_a_name_nobody_reads_is_told_its_neighbour() -> None:
    environ = {"RELAY_CONFIGG": "x", "RELAY_PORT": "8080", "RELAY_CONFIG": "x", "PATH": "/bin"}
    found = list(premises.names(environ | {"RELAY_SERVER__PORT": "0"}))
    assert [each.seen.split()[0] for each in found] == ["RELAY_CONFIGG", "RELAY_PORT"]
    assert "RELAY_CONFIG?" in found[0].fix


def test_few_files_are_doubtful() -> None:
    assert [premises.files(soft).level for soft in (1024, 4095, 4096)] == [Level.WARN, Level.WARN, Level.OK]


@pytest.mark.parametrize(
    ("wall", "newest_write", "level"),
    [
        (NOW, None, Level.OK),
        (NOW, NOW, Level.OK),
        (NOW, NOW + 1000, Level.OK),
        (NOW, NOW + 1001, Level.FAIL),
        (0, None, Level.FAIL),
    ],
)
def test_a_clock_that_has_gone_back_is_wrong(wall: UnixMs, newest_write: UnixMs | None, level: Level) -> None:
    assert premises.clock(wall, newest_write=newest_write).level is level
