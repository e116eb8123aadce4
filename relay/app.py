"""The composition root: settings become an assembly, two listeners are put before it, and all of it stops in order.

    start   outbox (open sessions of a dead process closed) ─► platforms ─► river ─► operations ─► public ─► `ready`
    stop    not ready ─► refuse (503) ─► stop sessions, tell the platform (3 s) ─► callbacks (5 s) ─► close stores

Read it from top to bottom; nothing is decided here but what is built and in which order.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from relay.assembly import Assembly, source_caps, trusted_clocks, unix_ms
from relay.core.indicator import Address
from relay.core.moments import UnixMs
from relay.errors import SettingsError
from relay.ingest import Beyond, BroadcastRequest, BroadcastResult, Credentials, Doors, Listener
from relay.ingest.listener import BACKLOG, assert_compiled_parser
from relay.observe.health import Check, Health
from relay.observe.lag import LoopLag
from relay.observe.metrics import Metrics
from relay.observe.series import LOOP_LAG, READY
from relay.operate.doors import OperatorDoors
from relay.prerequisites import refuse_unusable
from relay.reloading import Reloader, Take
from relay.settings.binding import not_bound
from relay.settings.models import Settings

log = logging.getLogger("relay.app")

CLOSE_S = 1.0
"""For answers under way when the listeners close; everything before them has its own deadline."""


GC_GENERATION_2 = 100
"""Full collections are ten times rarer than by default: with what lives long frozen, they find little."""

WRITER_TURN_S = 0.0005
"""How long a busy loop may keep the outbox's writer from the interpreter: at the usual 5 ms it starves (measured: 2,000
deliveries take 12.5 s instead of 3.5)."""


@dataclass(slots=True)
class Relay:
    """A running relay: where it listens, and how to stop it. Make it with `start`."""

    settings: Settings
    assembly: Assembly
    doors: Doors
    lag: LoopLag
    public: "Site"
    operations: "Site"
    reloader: Reloader
    is_stopping: bool = False

    async def stop(self) -> None:
        """In at most ten seconds; callable once."""
        self.is_stopping = True
        await self.doors.drain()
        await self.assembly.drain()
        await self.public.close()
        await self.operations.close()
        self.lag.stop()
        await self.assembly.close()


class Site:
    """One listener on one address; port 0 takes a free one."""

    def __init__(self, runner: web.ServerRunner, host: str) -> None:
        self._runner = runner
        self._host = host

    @classmethod
    async def open(cls, server: web.Server, host: str, port: int) -> "Site":
        """Raises SettingsError where the address cannot be had."""
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        except (OSError, UnicodeError) as why:
            await runner.cleanup()
            raise not_bound(host, port, why) from None
        return cls(runner, host)

    @property
    def url(self) -> str:
        port = self._runner.addresses[0][1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    async def close(self) -> None:
        await self._runner.cleanup()


async def start(
    settings: Settings,
    *,
    wall: Callable[[], UnixMs] = unix_ms,
    read: Callable[[], Settings] | None = None,
) -> Relay:
    """A relay that accepts on both listeners. `wall` is read by other threads too; `read` reads the settings again.

    Raises SettingsError, StoreError.
    """
    assert_compiled_parser()
    sys.setswitchinterval(WRITER_TURN_S)
    refuse_unusable(settings)
    metrics = Metrics()
    credentials = Credentials(settings, wall=wall)
    assembly = await Assembly.open(settings, metrics=metrics, wall=wall)
    lag = LoopLag(asyncio.get_running_loop())
    metrics.watch(LOOP_LAG, lambda: {(): lag.lag_ms / 1000})
    doors = Doors(
        settings, credentials, _beyond(assembly), metrics=metrics, now=assembly.flow.world.now, wall=wall
    )
    reloader = Reloader(settings, read or (lambda: settings), _parts(assembly, doors, wall), metrics=metrics)
    try:
        await assembly.start()
        sites = await _listen(settings, assembly, doors, lag, reloader)
    except BaseException:
        await assembly.close()
        raise
    lag.start()
    settle_memory()
    if credentials.is_open:
        log.warning("no source is configured: every caller on this machine may post, and none from elsewhere")
    return Relay(settings, assembly, doors, lag, *sites, reloader)


async def serve(
    settings: Settings, *, say: Callable[[str], None], read: Callable[[], Settings] | None = None
) -> None:
    """Run until SIGTERM or SIGINT; says one `ready …` line when both listeners accept. A second signal ends at once.

    SIGHUP has the settings read again; what comes during the start is done after it.
    """
    loop, stop, hangup = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    relay = await start(settings, read=read)
    reloading = asyncio.create_task(_reload_on(hangup, relay.reloader), name="reload")
    say(f"ready public={relay.public.url} operations={relay.operations.url}")
    await stop.wait()
    log.info("stopping")
    reloading.cancel()
    await relay.stop()
    log.info("stopped")


async def _reload_on(hangup: asyncio.Event, reloader: Reloader) -> None:
    """Signals that come during a reload make one more, however many they are."""
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            await reloader.reload()
        except SettingsError:
            pass  # the reloader has said it
        except Exception:
            log.exception("a fault of the relay: nothing was reloaded, the next signal tries again")


def _parts(
    assembly: Assembly, doors: Doors, wall: Callable[[], UnixMs]
) -> tuple[Callable[[Settings], Take], ...]:
    """Who takes over settings that were read again."""

    def callers(fresh: Settings) -> Take:
        refuse_unusable(fresh)
        credentials = Credentials(fresh, wall=wall, tickets=doors.credentials.tickets)
        if credentials.is_open and not doors.credentials.is_open:
            raise SettingsError(
                "sources: with the last one gone, everybody on this machine could post: leave an empty [sources.NAME] "
                "to keep the door closed, or restart the relay to open it"
            )
        flow, take_doors = assembly.flow, doors.prepared(fresh, credentials)

        def take() -> None:
            take_doors()
            flow.trusted_clocks, flow.sessions.of_source = trusted_clocks(fresh), source_caps(fresh)

        return take

    def trackers(fresh: Settings) -> Take:
        return assembly.outbox.prepared(fresh.endpoints)

    def level(fresh: Settings) -> Take:
        return lambda: logging.getLogger().setLevel(fresh.logging.level.upper())

    return callers, level, trackers


def settle_memory() -> None:
    """What was built for the process's life is taken out of every later collection: a full one stalls the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], GC_GENERATION_2)


def _on_signal(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)  # asked twice: whoever asks knows what is lost; what is recorded is on disk
    stop.set()


async def _listen(
    settings: Settings, assembly: Assembly, doors: Doors, lag: LoopLag, reloader: Reloader
) -> tuple[Site, Site]:
    """(public, operations); operations first, so that a probe sees the relay before its callers do."""

    def health() -> Health:
        serving = Check(
            "serving", not doors.is_draining, "the relay is stopping" if doors.is_draining else ""
        )
        return Health(lag.lag_ms, (serving, *assembly.checks()), reloader.generation)

    metrics, now = assembly.metrics, assembly.flow.world.now
    metrics.watch(READY, lambda: {(one.name,): float(one.is_ok) for one in health().checks})
    operator = OperatorDoors(settings.operations, assembly, health=health, reload=reloader.reload)
    operations = await Site.open(
        Listener(operator, settings.server, metrics=metrics, now=now),
        settings.operations.host,
        settings.operations.port,
    )
    try:
        listener = Listener(doors, settings.server, metrics=metrics, now=now, at_once=doors.at_once)
        public = await Site.open(listener, settings.server.host, settings.server.port)
    except SettingsError:
        await operations.close()
        raise
    return public, operations


def _beyond(assembly: Assembly) -> Beyond:
    """What stands behind the public doors, as they ask for it."""
    flow = assembly.flow

    async def broadcast(asked: BroadcastRequest) -> BroadcastResult:
        done = await assembly.orders.broadcast(
            (asked.gateway, asked.address.session_id),
            asked.address,
            indicator=asked.indicator,
            duration_ms=asked.duration_ms,
            source=asked.source,
        )
        return BroadcastResult(True, done.latency_ms, done.audit_id, done.status)  # noqa: FBT003 - in the order shown

    gateways, check_address = tuple(flow.platforms), _check_address(assembly)
    return Beyond(gateways, check_address, flow.sessions.by_gateway, flow.accept, broadcast)


def _check_address(assembly: Assembly) -> Callable[[str, Address], str | None]:
    """A live session's address was checked when it began; that another is posted for it is the river's to say."""
    flow = assembly.flow

    def check(gateway: str, address: Address) -> str | None:
        is_alive = (gateway, address.session_id) in flow.sessions
        return None if is_alive else flow.platforms[gateway].gateway.validate(address)

    return check
