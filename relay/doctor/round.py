"""One round: everything on this machine, then, if asked for, everybody the relay would talk to."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from relay.assembly import unix_ms
from relay.doctor import files, platforms, ports, premises, trackers
from relay.doctor.finding import Finding, fail
from relay.errors import SettingsError
from relay.settings.models import Settings


def offline(
    settings: Settings, config: Path | None, environ: Mapping[str, str], cwd: Path
) -> Iterator[Finding]:
    """In the order an operator would mend it. Nothing is asked of anybody but our own ports."""
    yield from premises.usable(settings)
    yield from premises.leases(settings)
    yield from premises.names(environ)
    yield premises.parser()
    yield premises.files()
    yield premises.clock(unix_ms(), newest_write=files.newest_write(settings.outbox, cwd))
    yield from files.modes(settings, config, environ, cwd)
    yield from files.outbox(settings.outbox, cwd)
    yield from ports.ports(settings)


async def online(
    settings: Settings, *, agent_user_id: str | None, deployment_id: str | None
) -> list[Finding]:
    """Platforms and trackers, all at once; each has its deadlines."""
    asked: list[Coroutine[Any, Any, list[Finding]]] = [
        _platform(name, settings, agent_user_id, deployment_id) for name in settings.gateways
    ]
    asked += [_tracker(name, settings) for name in settings.endpoints]
    return [finding for found in await asyncio.gather(*asked) for finding in found]


async def _platform(
    name: str, settings: Settings, agent_user_id: str | None, deployment_id: str | None
) -> list[Finding]:
    try:
        return await platforms.look_at(
            name,
            settings.gateways[name],
            wall=unix_ms,
            agent_user_id=agent_user_id,
            deployment_id=deployment_id,
        )
    except SettingsError as why:
        where, _, words = str(why).partition(": ")
        return [fail(f"gateway {name}", f"not asked: {where} cannot be used", words)]


async def _tracker(name: str, settings: Settings) -> list[Finding]:
    return [await trackers.way_to(name, settings.endpoints[name], wall=unix_ms())]
