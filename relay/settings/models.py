"""Every setting: its name, unit, range and default. Frozen once read; secrets never print themselves."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    StringConstraints,
    model_validator,
)

from relay.core import destination
from relay.core.static_headers import header_problems
from relay.core.timings import StopMode, Timings, problems
from relay.settings import reach

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
FormatName = Literal["standard", "cloudevents"]


def is_loopback(host: str) -> bool:
    """True for `localhost` and any literal loopback address; a name is never looked up."""
    return destination.is_loopback(host.strip("[]"))


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Server(Section):
    """`[server]`: the public listener, where events come in."""

    host: str = "127.0.0.1"
    port: Port = 8080
    allowed_hosts: tuple[str, ...] = ()
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
    allowed_hosts: tuple[str, ...] = ()


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


class Gateway(Section):
    """`[gateways.NAME]`: one messaging platform identity."""

    kind: Literal["guest"] = "guest"
    base_url: str = "https://api.mypurecloud.com"
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scope: str = "messaging:guest:write"
    token_auth: Literal["form", "basic"] = "form"  # noqa: S105 - names a method, holds no secret
    rate_per_minute: int = Field(300, ge=10, le=1_000_000)
    burst: int = Field(20, ge=2, le=100_000)
    carriers: int = Field(16, ge=1, le=256)
    allow_http: bool = False

    @model_validator(mode="after")
    def _secret_never_in_clear(self) -> Self:
        url = urlsplit(self.base_url)
        if url.scheme not in {"https", "http"} or not url.hostname:
            raise ValueError("base_url: https://HOST is wanted, without path")
        if url.scheme == "http" and not (self.allow_http or is_loopback(url.hostname)):
            raise ValueError(
                "base_url: https is wanted, since the client secret travels to it; "
                "plain http needs a loopback host or allow_http = true"
            )
        return self

    @model_validator(mode="after")
    def _burst_inside_the_rate(self) -> Self:
        if self.burst >= self.rate_per_minute:
            raise ValueError(
                f"burst < rate_per_minute is needed (the burst is inside the limit), "
                f"but {self.burst} >= {self.rate_per_minute}"
            )
        return self


class ApiKey(Section):
    """One API key: only its SHA-256 is kept. Several may be live at once, so that a key can be rotated."""

    id: str = Field(pattern=r"^[a-z0-9]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    scopes: tuple[Literal["events:write", "read", "admin"], ...] = ("events:write",)


class Source(Section):
    """`[sources.NAME]`: an upstream system that may post events."""

    keys: tuple[ApiKey, ...] = ()
    gateway: Name | None = None
    clock: Literal["untrusted", "trusted"] = "untrusted"


class SigningSecret(Section):
    """One of an endpoint's `secrets`; written as a plain text it signs for as long as it is listed."""

    secret: SecretStr
    until: AwareDatetime | None = None
    """When it stops signing (RFC 3339), so that retiring it needs no second edit."""


def _as_table(given: object) -> object:
    return {"secret": given} if isinstance(given, str | SecretStr) else given


ListedSecret = Annotated[
    SigningSecret, BeforeValidator(_as_table, json_schema_input_type=SecretStr | SigningSecret)
]


class Endpoint(Section):
    """`[endpoints.NAME]`: a downstream tracker."""

    url: str
    secrets: tuple[ListedSecret, ...] = Field(default=(), max_length=5)
    """Newest first; `whsec_` and base64 of 24..64 bytes, or `whsk_` and an ed25519 key. Every live one signs."""
    generated_secret_path: Path | None = None
    """Where `secrets` is empty: the file that holds the one the relay makes for itself (mode 0600)."""
    events: tuple[str, ...] = ("*",)
    gateways: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)
    format: FormatName = "standard"
    """What a body is: the event as recorded, or a CloudEvent (structured mode)."""
    headers: dict[str, SecretStr] = {}
    """Sent along with each delivery."""
    allow_http: bool = False
    allow_cidrs: tuple[IPvAnyNetwork, ...] = ()
    """Networks it may be in besides the public internet: 10.0.0.0/8, or 127.0.0.0/8 for this machine."""
    proxy: SecretStr | None = None
    """http:// or https://, credentials included. What the url's name resolves to is then judged by the proxy alone."""
    ca_file: Path | None = None
    """The authorities to trust instead of the system's (PEM)."""
    client_cert: Path | None = None
    """What this relay shows of itself (PEM); `client_key` may be in the same file. Read at the start."""
    client_key: Path | None = None
    concurrency: int = Field(8, ge=1, le=256)
    connect_timeout_s: float = Field(5.0, gt=0, le=60)
    timeout_s: float = Field(15.0, gt=0, le=120)

    @model_validator(mode="after")
    def _can_sign(self) -> Self:
        if not self.secrets and self.generated_secret_path is None:
            raise ValueError("secrets: at least one whsec_… is wanted (or generated_secret_path)")
        return self

    @model_validator(mode="after")
    def _can_be_posted_to(self) -> Self:
        proxy = None if self.proxy is None else self.proxy.get_secret_value()
        found = list(reach.problems(self.url, proxy, allow_http=self.allow_http, allow=self.allow_cidrs))
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        found += [f"headers: {problem}" for problem in header_problems(headers)]
        if self.client_key is not None and self.client_cert is None:
            found.append("client_key: it belongs to a client_cert, and none is given")
        if found:
            raise ValueError("; ".join(found))
        return self


class Outbox(Section):
    """`[outbox]`: the durable store of engagement events."""

    path: Path = Path("typing-relay.db")
    synchronous: Literal["full", "normal"] = "full"
    max_rows: int = Field(1_000_000, ge=100)
    """Deliveries not yet delivered; past it new durable events are refused and counted."""
    max_queue: int = Field(20_000, ge=64)
    """Events waiting in memory for the writer."""
    retention_days: float = Field(7.0, gt=0, le=3650)
    history_rows: int = Field(200_000, ge=0)
    """Ended deliveries kept within their retention, dead letters apart: about 256 MiB with their attempts."""
    dead_letter_days: float = Field(30.0, gt=0, le=3650)


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

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for name, source in self.sources.items():
            if source.gateway is not None and source.gateway not in self.gateways:
                raise ValueError(
                    f"sources.{name}.gateway names no configured gateway; configured: {', '.join(self.gateways)}"
                )
        return self
