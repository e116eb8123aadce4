"""Every setting: its name, unit, range and default. Frozen once read; secrets never print themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from relay.core import destination
from relay.core.timings import StopMode, Timings, problems
from relay.settings import patterns
from relay.settings.endpoint import Endpoint
from relay.settings.gateway import Gateway
from relay.settings.generated_secret import USUAL_OUTBOX
from relay.settings.hosts import Host
from relay.settings.section import Section
from relay.settings.upstream import Name, Source

LOCAL = "local"
"""Where no source is configured, whoever posts from this machine is that one."""

Port = Annotated[int, Field(ge=0, le=65535)]


def is_loopback(host: str) -> bool:
    """True for `localhost` and any literal loopback address; a name is never looked up."""
    return destination.is_loopback(host.strip("[]"))


class Server(Section):
    """`[server]`: the public listener, where events come in."""

    host: str = "127.0.0.1"
    port: Port = 8080
    allowed_hosts: tuple[Host, ...] = ()
    """Further `Host` names besides the listener's own and loopback; behind a proxy, its public name."""
    max_event_bytes: int = Field(65_536, ge=1024, le=1_048_576)
    max_batch_bytes: int = Field(1_048_576, ge=1024, le=16_777_216)
    max_batch_events: int = Field(500, ge=1, le=5000)
    body_timeout_s: float = Field(5.0, gt=0, le=60)
    keepalive_timeout_s: float = Field(20.0, gt=0, le=600)
    max_sessions: int = Field(200_000, ge=1, le=5_000_000)
    """Sessions in memory at once; a new one past it is refused (429), those alive go on."""
    dedupe_window_s: float = Field(600.0, gt=0, le=86_400)
    dedupe_ids: int = Field(100_000, ge=1, le=5_000_000)


class Operations(Section):
    """`[operations]`: the operator's listener."""

    host: str = "127.0.0.1"
    port: Port = 9180
    allowed_hosts: tuple[Host, ...] = ()


class Typing(Section):
    """`[typing]`: all spans in milliseconds."""

    duration_ms: int = Field(3000, ge=100, le=10_000)
    min_interval_ms: int = Field(2000, ge=100, le=60_000)
    margin_ms: int = Field(700, ge=0, le=10_000)
    pause_after_ms: int = Field(2500, ge=100, le=600_000)
    stop_after_ms: int = Field(6000, ge=100, le=600_000)
    max_per_minute: int | None = Field(None, ge=1, le=600)
    thinking_lease_ms: int = Field(15_000, ge=1000, le=600_000)
    thinking_life_ms: int = Field(120_000, ge=1000, le=3_600_000)
    typing_life_ms: int = Field(600_000, ge=1000, le=86_400_000)
    thinking_delay_ms: int = Field(300, ge=0, le=60_000)
    request_timeout_ms: int = Field(2000, ge=100, le=30_000)
    late_ms: int = Field(1000, ge=0, le=30_000)
    min_gain_ms: int = Field(500, ge=0, le=10_000)
    tombstone_ms: int = Field(60_000, ge=1000, le=3_600_000)
    stop_mode: StopMode = StopMode.EXPLICIT

    def timings(self) -> Timings:
        return Timings(**self.model_dump())

    @model_validator(mode="after")
    def _keeps_its_promises(self) -> Self:
        found = list(problems(self.timings()))
        if found:
            raise ValueError("; ".join(found))
        return self


class Outbox(Section):
    """`[outbox]`: the durable store of engagement events."""

    path: Path = USUAL_OUTBOX
    synchronous: Literal["full", "normal"] = "full"
    max_rows: int = Field(1_000_000, ge=100)
    """Deliveries not yet delivered; past it the oldest ephemeral ones go, then new events are refused and counted."""
    max_bytes: int = Field(1_073_741_824, ge=1_048_576)
    """What their bodies may weigh, each once for every endpoint it waits for; past it as past `max_rows`."""
    max_queue: int = Field(20_000, ge=64)
    """Events waiting in memory for the writer."""
    retention_days: float = Field(7.0, gt=0, le=3650)
    history_rows: int = Field(200_000, ge=0)
    """Ended deliveries kept within their retention, dead letters apart: about 256 MiB with their attempts."""
    dead_letter_days: float = Field(30.0, gt=0, le=3650)
    attempts_bytes: int = Field(268_435_456, ge=1_048_576)
    """The attempts' log, kept as long as what has ended; past it the oldest go, never those of a live delivery."""


class Audit(Section):
    """`[audit]`: one row per broadcast attempt, in the outbox's file."""

    retention_days: float = Field(30.0, gt=0, le=3650)
    max_rows: int = Field(1_000_000, ge=100)


class Logging(Section):
    """`[logging]`: one JSON line per fact, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    log_ids: Literal["hashed", "plain"] = "hashed"


class Settings(Section):
    server: Server = Server()
    operations: Operations = Operations()
    typing: Typing = Typing()
    gateways: dict[Name, Gateway] = Field(default_factory=dict)
    sources: dict[Name, Source] = Field(default_factory=dict)
    endpoints: dict[Name, Endpoint] = Field(default_factory=dict)
    outbox: Outbox = Outbox()
    audit: Audit = Audit()
    logging: Logging = Logging()

    def timings_of(self, gateway: str) -> Timings:
        """Those of the sessions on one gateway: its profile's, laid over `[typing]`."""
        return self.gateways[gateway].timings(self.typing.timings())

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for name, source in self.sources.items():
            if source.gateway is not None and source.gateway not in self.gateways:
                raise ValueError(
                    f"sources.{name}.gateway names no configured gateway; configured: {', '.join(self.gateways)}"
                )
        if found := list(self._unfit_patterns()):
            raise ValueError("; ".join(found))
        return self

    def _unfit_patterns(self) -> Iterator[str]:
        gateways, sources = tuple(self.gateways), tuple(self.sources) or (LOCAL,)
        for name, one in self.endpoints.items():
            for problem in patterns.problems(one.gateways, gateways, "configured gateway"):
                yield f"endpoints.{name}.gateways: {problem}"
            for problem in patterns.problems(one.sources, sources, "configured source"):
                yield f"endpoints.{name}.sources: {problem}"
