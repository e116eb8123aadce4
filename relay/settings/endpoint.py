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

from relay.core.static_headers import header_problems
from relay.core.terms import TERMS, DeliveryClass, Terms
from relay.settings import reach
from relay.settings.section import Section

FormatName = Literal["standard", "cloudevents"]


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

WaitS = Annotated[float, Field(ge=0, le=604_800)]
SHORTEST_WAIT_S = 0.1
"""Between two attempts at one delivery: less is an assault on a receiver in trouble."""


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
    """What this relay shows of itself (PEM); `client_key` may be in the same file. Read at the start."""
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
    """How long one that fails holds up the next of its session."""

    def terms(self) -> Terms:
        usual = TERMS[self.delivery_class]
        return Terms(
            self.delivery_class,
            tuple(wait_s * 1000 for wait_s in self.schedule_s) or usual.schedule_ms,
            usual.life_ms if self.max_age_s is None else int(self.max_age_s * 1000),
            int(self.unordered_after_s * 1000),
        )

    @model_validator(mode="after")
    def _can_sign(self) -> Self:
        if not self.secrets and self.generated_secret_path is None:
            raise ValueError("secrets: at least one whsec_… is wanted (or generated_secret_path)")
        return self

    @field_validator("schedule_s")
    @classmethod
    def _begins_at_once(cls, schedule_s: tuple[float, ...]) -> tuple[float, ...]:
        if schedule_s and (schedule_s[0] != 0 or min(schedule_s[1:], default=1.0) < SHORTEST_WAIT_S):
            raise ValueError(
                f"the waits before each attempt are wanted: 0, then each at least {SHORTEST_WAIT_S} s"
            )
        return schedule_s

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
