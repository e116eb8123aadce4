"""`[gateways.NAME]`: one messaging platform, and the identity by which it knows us."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from relay.core.destination import is_loopback
from relay.core.ids import UUID_PATTERN, is_uuid
from relay.core.profiles import Profile, profiled
from relay.core.static_headers import header_problems
from relay.core.timings import Timings
from relay.settings.section import Section

AGENT = "{agentUserId}"


class Gateway(Section):
    """`[gateways.NAME]`: one messaging platform identity."""

    kind: Literal["guest", "genesys"] = "guest"
    """`guest`: the Guest API. `genesys`: Genesys Cloud's own conversations."""
    region: str = Field("mypurecloud.com", pattern=r"^[a-z0-9]([a-z0-9.-]{0,100}[a-z0-9])?$")
    """Its hosts are api.REGION and login.REGION."""
    base_url: str | None = None
    """Instead of https://api.REGION."""
    login_url: str | None = None
    """Instead of base_url where that is given; else `guest` logs in at its api host, `genesys` at login.REGION."""
    token_source: Literal["client", "static", "file", "http"] = "client"  # noqa: S105 - names a place, holds no secret
    """Whose token a call is made with: the client's own, or (`genesys`) the agent's, from one of three places."""
    client_id: str | None = Field(None, min_length=1)
    client_secret: SecretStr | None = None
    scope: str | None = None
    """Unless set, what the kind asks for: `messaging:guest:write`, or none."""
    token_auth: Literal["form", "basic"] | None = None
    """How the credentials are sent; unless set, `form` for `guest` and `basic` for `genesys`."""
    agent_tokens: dict[str, SecretStr] = Field({})
    """`static`: a bearer token for each agent's user id."""
    agent_tokens_path: Path | None = None
    """`file`: a JSON object of them, read again when it has changed."""
    agent_tokens_url: str | None = None
    """`http`: where an agent's token is got; `{agentUserId}` stands for whose."""
    agent_tokens_headers: dict[str, SecretStr] = Field({})
    """`http`: sent along."""
    probe_at_start: bool = True
    """`genesys`: try at the start whether the platform lets this identity type at all."""
    profile: Profile | None = None
    """Its timings; unless set, `typing` (the section) for `guest` and `genesys` for `genesys`."""
    max_per_minute: int | None = Field(None, ge=1, le=600)
    """Of one session, instead of the profile's."""
    rate_per_minute: int = Field(300, ge=10, le=1_000_000)
    burst: int = Field(20, ge=2, le=100_000)
    carriers: int = Field(16, ge=1, le=256)
    allow_http: bool = False

    @property
    def api_url(self) -> str:
        return self.base_url or f"https://api.{self.region}"

    @property
    def auth_url(self) -> str:
        """Where tokens are asked for: the Guest API's own host, Genesys Cloud's second one, or where one is named."""
        is_one_host = self.kind == "guest" or self.base_url is not None
        return self.login_url or (self.api_url if is_one_host else f"https://login.{self.region}")

    @property
    def api_setting(self) -> str:
        """What an operator changes to change `api_url`."""
        return "region" if self.base_url is None else "base_url"

    @property
    def auth_setting(self) -> str:
        """What an operator changes to change `auth_url`."""
        return self.api_setting if self.login_url is None else "login_url"

    @property
    def credentials(self) -> tuple[str, str]:
        """Client id and secret; empty where agents' tokens are used."""
        secret = "" if self.client_secret is None else self.client_secret.get_secret_value()
        return self.client_id or "", secret

    @property
    def asked_scope(self) -> str:
        return ("messaging:guest:write" if self.kind == "guest" else "") if self.scope is None else self.scope

    @property
    def credentials_form(self) -> Literal["form", "basic", "raw_basic"]:
        """`basic`: form-encoded inside, as RFC 6749 has it; `raw_basic`: as they are, as Genesys' own SDKs do."""
        if (self.token_auth or ("form" if self.kind == "guest" else "basic")) == "form":
            return "form"
        return "basic" if self.kind == "guest" else "raw_basic"

    def timings(self, section: Timings) -> Timings:
        """This gateway's, where `section` is what `[typing]` says."""
        chosen = self.profile or ("typing" if self.kind == "guest" else "genesys")
        timings = profiled(section, chosen)
        if self.max_per_minute is None:
            return timings
        return replace(timings, max_per_minute=self.max_per_minute)

    @field_validator("client_id", "client_secret", mode="after")
    @classmethod
    def _is_there(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        if value is None and info.data.get("token_source") == "client":
            raise PydanticCustomError("missing", "is required")
        return value

    @field_validator("agent_tokens", mode="after")
    @classmethod
    def _are_users(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if not all(map(is_uuid, value)):
            raise ValueError(f"each key is an agent's user id ({UUID_PATTERN})")
        return value

    @model_validator(mode="after")
    def _secrets_never_in_clear(self) -> Self:
        for name in ("base_url", "login_url", "agent_tokens_url"):
            given = getattr(self, name)
            if given is not None:
                self._refuse_in_clear(name, given)
        return self

    def _refuse_in_clear(self, name: str, given: str) -> None:
        url = urlsplit(given)
        if url.scheme not in {"https", "http"} or not url.hostname:
            raise ValueError(f"{name}: https://HOST is wanted, without path")
        if url.scheme == "http" and not (self.allow_http or is_loopback(url.hostname)):
            raise ValueError(
                f"{name}: https is wanted, since the client secret travels to it; "
                "plain http needs a loopback host or allow_http = true"
            )

    @model_validator(mode="after")
    def _names_its_token_source(self) -> Self:
        if self.kind == "guest" and self.token_source != "client":  # noqa: S105 - names a place, holds no secret
            raise ValueError(
                'token_source: only a gateway of kind = "genesys" calls with agents\' own tokens'
            )
        needed = {
            "static": ("agent_tokens", bool(self.agent_tokens)),
            "file": ("agent_tokens_path", self.agent_tokens_path is not None),
            "http": ("agent_tokens_url", AGENT in (self.agent_tokens_url or "")),
        }
        name, is_there = needed.get(self.token_source, ("", True))
        if not is_there:
            of = f" with {AGENT} in it" if self.token_source == "http" else ""  # noqa: S105 - names a place
            raise ValueError(f'{name}: is required{of}, since token_source = "{self.token_source}"')
        headers = {key: value.get_secret_value() for key, value in self.agent_tokens_headers.items()}
        found = [f"agent_tokens_headers: {problem}" for problem in header_problems(headers)]
        if found:
            raise ValueError("; ".join(found))
        return self

    @model_validator(mode="after")
    def _burst_inside_the_rate(self) -> Self:
        if self.burst >= self.rate_per_minute:
            raise ValueError(
                f"burst < rate_per_minute is needed (the burst is inside the limit), "
                f"but {self.burst} >= {self.rate_per_minute}"
            )
        return self
