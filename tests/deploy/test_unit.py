"""`deploy/relay.service`: installed as it says, and the relay started as it has systemd start it.

No systemd runs here. What it does for the unit (a copy of each credential, a folder for state, `%d` and `%S`) is done by
hand; that it takes the file at all is `systemd-analyze`'s to say, where there is one.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.whole.process import ROOT, RelayProcess, serving, until
from tests.whole.town import Town, event

UNIT = ROOT / "deploy" / "relay.service"
ETC, BIN, GROUP = "/etc/typing-relay", "/opt/typing-relay/bin/typing-relay", "relay-settings"
NOT_HERE = ("python3 -m venv", "/opt/typing-relay/bin/pip", "groupadd", "systemctl")
"""What needs a registry, or changes the machine; everything else that the comment says is done."""


def directives(text: str) -> dict[str, list[str]]:
    """By name, every value in order."""
    found = defaultdict[str, list[str]](list)
    for line in text.splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


UNIT_SAYS = directives(UNIT.read_text())


def installing() -> list[str]:
    """The commands of the comment, one by one."""
    lines = re.findall(r"^#   (\S.*)$", UNIT.read_text(), re.MULTILINE)
    return [command for line in lines for command in line.split(" && ")]


@dataclass
class Machine:
    """A root of its own for what would be the machine's."""

    root: Path

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def state(self) -> Path:
        return self.root / "state" / "typing-relay"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def units(self) -> Path:
        return self.root / "units"

    def install(self, secret: str) -> None:
        self.units.mkdir()
        for command in installing():
            if not command.startswith(NOT_HERE):
                there = self.here(command).replace(GROUP, str(os.getgid()))
                subprocess.run(
                    ["sh", "-ec", there], cwd=ROOT, input=secret, text=True, timeout=30, check=True
                )

    def start(self) -> dict[str, str]:
        """What systemd does before it starts the process; its environment then."""
        self.state.mkdir(parents=True)
        self.credentials.mkdir()
        for one in UNIT_SAYS["LoadCredential"]:
            name, _, source = one.partition(":")
            shutil.copyfile(self.here(source), self.credentials / name)
        return dict(self.here(one).split("=", 1) for one in UNIT_SAYS["Environment"])

    def here(self, text: str) -> str:
        text = text.replace(BIN, shlex.join([sys.executable, "-m", "relay"])).replace(ETC, str(self.etc))
        text = text.replace("/etc/systemd/system", str(self.units)).replace("%d", str(self.credentials))
        return text.replace("%S", str(self.state.parent))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def configure(machine: Machine, town: Town, **more: str) -> None:
    """Writes what the comment leaves to the operator."""
    said = town.environ
    lines = [
        "[gateways.guest]",
        f'base_url = "{said["GENESYS_API_BASE_URL"]}"',
        f'client_id = "{said["GENESYS_CLIENT_ID"]}"',
        "[endpoints.tracker]",
        f'url = "{said["WEBHOOK_URL"]}"',
        f'secrets = ["{said["WEBHOOK_SECRET"]}"]',
        'allow_cidrs = ["127.0.0.0/8"]',
        *(f"[{section}]\n{line}" for section, line in more.items()),
    ]  # fmt: skip
    (machine.etc / "relay.toml").write_text("\n".join(lines))


async def generation(town: Town, relay: RelayProcess) -> int:
    shown: int = (await town.look(relay, "/readyz")).value["configGeneration"]
    return shown


async def test_installed_as_the_unit_says_the_relay_starts_as_the_unit_has_it(
    machine: Machine, town: Town
) -> None:
    machine.install(town.environ["GENESYS_CLIENT_SECRET"] + "\n")
    configure(machine, town)
    environ = machine.start()
    async with serving(machine.state, environ) as relay:
        await town.type(relay)
        await until(lambda: town.events("session."), within_s=10, what="told")
        assert (await town.look(relay, "/readyz")).status == 200
        assert await relay.stop() == 0
    assert {path.name for path in machine.state.iterdir()} == {"typing-relay.db", "typing-relay.db.lock"}


async def test_a_reload_reads_what_the_operator_has_written_since_the_start(
    machine: Machine, town: Town
) -> None:
    """The settings were a credential once, so a copy made at the start: each reload read that and changed nothing."""
    machine.install(town.environ["GENESYS_CLIENT_SECRET"])
    configure(machine, town)
    assert UNIT_SAYS["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    async with serving(machine.state, machine.start()) as relay:
        configure(machine, town, logging='level = "debug"')
        relay.send(signal.SIGHUP)
        await until(lambda: relay.logged("config.reloaded"), within_s=5, what="reloaded")
        assert await generation(town, relay) == 2
        assert (await town.post(relay, event())).status == 202


def test_it_is_installed_under_the_name_that_the_commands_use(machine: Machine) -> None:
    machine.install("x")
    (unit,) = machine.units.iterdir()
    used = {word for command in installing() if command.startswith("systemctl") for word in command.split()}
    assert unit.name.removesuffix(".service") in used
    assert f"as {unit.name}" in UNIT.read_text()
    assert all(f"{ETC}/" in one for one in UNIT_SAYS["LoadCredential"])
    assert {path.name for path in machine.etc.iterdir()} == {"relay.toml", "client_secret"}
    assert (machine.etc / "client_secret").stat().st_mode & 0o777 == 0o600
    assert machine.etc.stat().st_mode & 0o7777 == 0o2750


def test_it_asks_for_the_systemd_that_knows_what_it_says() -> None:
    """`%d`, the folder of credentials, came with 250; LoadCredential= and ProtectProc= with 247."""
    wanted = int(re.findall(r"systemd (\d+) or newer", UNIT.read_text())[0])
    assert wanted == (250 if any("%d" in one for one in UNIT_SAYS["Environment"]) else 247)


def test_it_waits_for_a_start_and_a_stop_as_long_as_the_relay_may_take() -> None:
    """Ten seconds at most to stop, as deploy/README.md has it."""
    assert UNIT_SAYS["Type"] == ["notify"]
    assert int(UNIT_SAYS["TimeoutStopSec"][0]) > 10
    assert UNIT_SAYS["NotifyAccess"] == ["main"]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt install systemd"
)
def test_systemd_takes_it(tmp_path: Path) -> None:
    """But for its program, which is not where it will be."""
    unit = tmp_path / "typing-relay.service"
    unit.write_text(UNIT.read_text().replace(BIN, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_a_start_that_fails_again_and_again_is_not_the_end() -> None:
    """By default systemd gives up for good after five starts in ten seconds."""
    assert UNIT_SAYS["StartLimitIntervalSec"] == ["0"]
    assert UNIT_SAYS["Restart"] == ["always"]
