"""`[sources.NAME]`: who may post, how they prove it, and how much of the relay they may use."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from relay.core.signature import key_of
from relay.settings.adapting import Adapting
from relay.settings.endpoint import ListedSecret
from relay.settings.section import Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]

# What a browser writes (RFC 6454 section 6.2): lower case, no path. An IPv6 address stands in brackets.
_ORIGIN = re.compile(r"https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(
            "an origin is what a browser sends: https://desk.example or http://127.0.0.1:3000, in lower case, "
            "without path; `*` and `null` are nobody"
        )
    return value


Origin = Annotated[str, AfterValidator(_origin)]


class ApiKey(Section):
    """One API key: only its SHA-256 is kept. Several may be live at once, so that a key can be rotated."""

    id: str = Field(pattern=r"^[a-z0-9]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    scopes: tuple[Literal["events:write", "read", "admin"], ...] = ("events:write",)


class Source(Adapting):
    """`[sources.NAME]`: an upstream system that may post events."""

    keys: tuple[ApiKey, ...] = ()
    secrets: tuple[ListedSecret, ...] = Field(default=(), max_length=5)
    """Newest first; every live one is tried. Of signed requests (Standard Webhooks): `whsec_` and base64 of 24..64
    bytes; beside an adapter, what its platform signs with."""
    origins: tuple[Origin, ...] = ()
    """Pages that may use a ticket of this source, as in https://desk.example; none, and it gets no tickets."""
    gateway: Name | None = None
    clock: Literal["untrusted", "trusted"] = "untrusted"
    requests_per_s: float = Field(2000, gt=0, le=10_000_000)
    """Sustained, like the next two; twice as many may come at once."""
    bytes_per_s: float = Field(16_777_216, ge=1024, le=100_000_000_000)
    events_per_s: float = Field(10_000, gt=0, le=10_000_000)
    max_sessions: int = Field(50_000, ge=1, le=5_000_000)
    """Sessions this source opened, in memory at once; a new one past it is refused (429)."""
    max_streams: int = Field(10_000, ge=1, le=1_000_000)
    """Open at once; one more is refused (429). All connections together are bounded by the process's file limit."""
    leave_on_close: bool = True
    """When the last stream that carried an actor closes, the actor has left."""

    @model_validator(mode="after")
    def _secrets_can_verify(self) -> Self:
        for one in () if self.adapter else self.secrets:
            key_of(one.secret.get_secret_value())
        if self.secrets and self.secrets[0].until is not None:
            raise ValueError("secrets: the newest has an `until`: put its successor first")
        return self
