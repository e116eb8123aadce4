"""`[endpoints.NAME]`: who is told, how, and what it may cost."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

from relay.core.endpoint import Patience
from relay.core.engagement import EVENT_TYPES
from relay.core.static_headers import header_problems
from relay.core.terms import TERMS, DeliveryClass, Terms
from relay.settings import patterns, reach
from relay.settings.section import Section

FormatName = Literal["standard", "cloudevents"]


class SigningSecret(Section):
    """One of an endpoint's `secrets`; the newest of its kind may be a plain text, and signs as long as it is listed."""

    secret: SecretStr
    until: AwareDatetime | None = None
    """When it stops signing (RFC 3339), so that retiring it needs no second edit."""


def _as_table(given: object) -> object:
    return {"secret": given} if isinstance(given, str | SecretStr) else given


ListedSecret = Annotated[
    SigningSecret, BeforeValidator(_as_table, json_schema_input_type=SecretStr | SigningSecret)
]

WaitS = Annotated[float, Field(ge=0, le=604_800)]
SHORTEST_WAIT_S = 0.1
"""Between two attempts at one delivery: less is an assault on a receiver in trouble."""


class Endpoint(Section):
    """`[endpoints.NAME]`: a downstream tracker."""

    url: str
    secrets: tuple[ListedSecret, ...] = Field(default=(), max_length=5)
    """Newest first; `whsec_` and base64 of 24..64 bytes, or `whsk_` and an ed25519 key. Every live one signs, and of each kind
    all but the newest say until when."""
    generated_secret_path: Path | None = None
    """Where `secrets` is empty: the file that holds the one the relay makes for itself (mode 0600)."""
    events: tuple[str, ...] = ("*",)
    """Types, or beginnings with `*`: each must fit an event there is. `*` alone is what happens to sessions."""
    gateways: tuple[str, ...] = ("*",)
    """As `events`, of those configured."""
    sources: tuple[str, ...] = ("*",)
    """As `gateways`; `local` where no source is configured."""
    format: FormatName = "standard"
    """What a body is: the event as recorded, or a CloudEvent (structured mode)."""
    headers: dict[str, SecretStr] = Field({})
    """Sent along with each delivery."""
    allow_http: bool = False
    allow_cidrs: tuple[IPvAnyNetwork, ...] = ()
    """Networks it may be in besides the public internet: 10.0.0.0/8, or 127.0.0.0/8 for this machine."""
    proxy: SecretStr | None = None
    """http:// or https://, credentials included. What the url's name resolves to is then judged by the proxy alone."""
    ca_file: Path | None = None
    """The authorities to trust instead of the system's (PEM)."""
    client_cert: Path | None = None
    """What this relay shows of itself (PEM); `client_key` may be in the same file. Read at the start and at each reload."""
    client_key: Path | None = None
    concurrency: int = Field(8, ge=1, le=256)
    rate_per_s: float | None = Field(None, ge=0.01, le=100_000)
    """Deliveries that may begin in a second, two seconds' worth of them at once; what must wait costs no attempt."""
    connect_timeout_s: float = Field(5.0, gt=0, le=60)
    timeout_s: float = Field(15.0, gt=0, le=120)
    delivery_class: DeliveryClass = Field(DeliveryClass.DURABLE, alias="class")
    """`ephemeral`: worth something for 30 s; while it waits, the session's newest takes its place."""
    schedule_s: tuple[WaitS, ...] = Field((), max_length=20)
    """The wait before each attempt, from the end of the one before it; first 0. Empty: as its class has it."""
    max_age_s: float | None = Field(None, ge=1, le=2_592_000)
    """A delivery older than this is not made. None: 30 s for an ephemeral one, else as long as the schedule lasts."""
    unordered_after_s: float = Field(600.0, ge=1, le=604_800)
    retry_after_max_s: float = Field(3600.0, ge=0, le=3600)
    """What is granted of its Retry-After; 0 is to heed none."""
    breaker_window_s: float = Field(300.0, ge=10, le=3600)
    breaker_attempts: int = Field(10, ge=1, le=10_000)
    breaker_failing_share: float = Field(0.7, gt=0, le=1)
    """So many of at least `breaker_attempts` in the window have to fail for it to be left in peace a while."""
    breaker_open_s: float = Field(30.0, ge=1, le=3600)
    breaker_longest_open_s: float = Field(600.0, ge=1, le=86_400)
    breaker_successes: int = Field(3, ge=1, le=100)
    disable_after_s: float = Field(432_000.0, ge=3600, le=31_536_000)
    """Without a success: five days. The two messages that failed for good meanwhile lie `disable_apart_s` apart."""
    disable_apart_s: float = Field(43_200.0, ge=1, le=31_536_000)
    """How long one that fails holds up the next of its session."""

    @property
    def names_files(self) -> bool:
        """It is known, or knows, by certificates: they are read whenever the settings are."""
        return self.ca_file is not None or self.client_cert is not None

    def terms(self) -> Terms:
        usual = TERMS[self.delivery_class]
        return Terms(
            self.delivery_class,
            tuple(wait_s * 1000 for wait_s in self.schedule_s) or usual.schedule_ms,
            usual.life_ms if self.max_age_s is None else int(self.max_age_s * 1000),
            int(self.unordered_after_s * 1000),
            self.retry_after_max_s * 1000,
            self._patience(),
        )

    def _patience(self) -> Patience:
        return Patience(
            self.breaker_window_s * 1000,
            self.breaker_attempts,
            self.breaker_failing_share,
            self.breaker_open_s * 1000,
            self.breaker_longest_open_s * 1000,
            self.breaker_successes,
            int(self.disable_after_s * 1000),
            int(self.disable_apart_s * 1000),
        )

    @model_validator(mode="after")
    def _can_sign(self) -> Self:
        if not self.secrets and self.generated_secret_path is None:
            raise ValueError("secrets: at least one whsec_… is wanted (or generated_secret_path)")
        return self

    @field_validator("secrets")
    @classmethod
    def _old_ones_end(cls, secrets: tuple[SigningSecret, ...]) -> tuple[SigningSecret, ...]:
        kinds = [one.secret.get_secret_value().partition("_")[0] for one in secrets]
        for place, one in enumerate(secrets):
            if one.until is None and kinds[place] in kinds[:place]:
                raise ValueError(
                    f"the one at place {place + 1} is older than another of its kind and has no end: write it "
                    '{secret = "whsec_…", until = 2026-11-23T10:00:00Z}, as a rule for 24 hours from now'
                )
        return secrets

    @field_validator("events")
    @classmethod
    def _there_are_such_events(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        if found := list(patterns.problems(events, EVENT_TYPES, "known event")):
            raise ValueError("; ".join(found))
        return events

    @field_validator("gateways", "sources")
    @classmethod
    def _names_some(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError('none is named, so nothing would be sent: ["*"] is every one')
        return names

    @field_validator("schedule_s")
    @classmethod
    def _begins_at_once(cls, schedule_s: tuple[float, ...]) -> tuple[float, ...]:
        if schedule_s and (schedule_s[0] != 0 or min(schedule_s[1:], default=1.0) < SHORTEST_WAIT_S):
            raise ValueError(
                f"the waits before each attempt are wanted: 0, then each at least {SHORTEST_WAIT_S} s"
            )
        return schedule_s

    @model_validator(mode="after")
    def _opens_no_shorter(self) -> Self:
        if self.breaker_longest_open_s < self.breaker_open_s:
            raise ValueError(
                "breaker_longest_open_s: at least breaker_open_s is wanted, which it doubles up to"
            )
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
