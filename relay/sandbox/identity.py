"""The stand-in platform's OAuth: client credentials in, bearer tokens out, each checked as the real ones are.

A token is the client's own, or that of an agent who has signed in (which happens out of sight: `grant_user`), or a
guest's for the guest's own history (`grant_guest`).
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_plus
from uuid import uuid4

from relay.core.moments import Ms


class Refusal(NamedTuple):
    status: int
    body: dict[str, object]


@dataclass(slots=True)
class Identity:
    """The one OAuth client the platform knows, and the tokens it gave out."""

    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-secret", repr=False)
    scope: str = "messaging:guest:write"
    granted: int = 0
    refused: int = 0
    _expires: dict[str, Ms] = field(default_factory=dict, repr=False)
    _users: dict[str, str] = field(default_factory=dict, repr=False)
    _guests: dict[str, str] = field(default_factory=dict, repr=False)

    def grant(
        self, form: Mapping[str, str], authorization: str | None, *, now: Ms, life_s: float
    ) -> Refusal | dict[str, object]:
        """The token endpoint's answer: RFC 6749 section 5.1, or 5.2 with this platform family's `description`."""
        refusal = self._refusal(form, authorization)
        if refusal is not None:
            self.refused += 1
            return refusal
        self.granted += 1
        return self._issued(f"sandbox-token-{self.granted:06d}", now, life_s)

    def grant_user(self, user_id: str, *, now: Ms, life_s: float) -> dict[str, object]:
        """A token of this agent's, as one that signed in has it."""
        self.granted += 1
        token = f"sandbox-user-token-{self.granted:06d}"
        answer = self._issued(token, now, life_s)
        self._users[token] = user_id
        return answer

    def grant_guest(self, session: str, *, now: Ms, life_s: float) -> str:
        """A JWT for the guest whose session this is; it opens nothing else."""
        jwt = f"sandbox.guest.{uuid4().hex}"
        self._issued(jwt, now, life_s)
        self._guests[jwt] = session
        return jwt

    def guest_of(self, authorization: str | None) -> str | None:
        """The guest's session whose JWT this header carries; None for any other token."""
        return self._guests.get((authorization or "").partition(" ")[2])

    def user_of(self, authorization: str | None) -> str | None:
        """The agent whose token this header carries; None for the client's own."""
        return self._users.get((authorization or "").partition(" ")[2])

    def revoke_all(self) -> None:
        self._expires.clear()

    def _issued(self, token: str, now: Ms, life_s: float) -> dict[str, object]:
        self._expires = {known: end for known, end in self._expires.items() if end > now - 60_000}
        self._users = {known: user for known, user in self._users.items() if known in self._expires}
        self._guests = {known: guest for known, guest in self._guests.items() if known in self._expires}
        self._expires[token] = now + life_s * 1000
        return {"access_token": token, "token_type": "bearer", "expires_in": int(life_s)}

    def bearer_problem(self, authorization: str | None, now: Ms) -> tuple[str, str] | None:
        """(code, message) of the 401 that a call with this header deserves; None if its token is good."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return (
                "authentication.required",
                "No authentication bearer token specified in authorization header.",
            )
        expires = self._expires.get(token)
        if expires is None:
            return "bad.credentials", "Invalid login credentials."
        if now >= expires:
            return "credentials.expired", "The supplied credentials have expired."
        return None

    def _refusal(self, form: Mapping[str, str], authorization: str | None) -> Refusal | None:
        if form.get("grant_type") != "client_credentials":
            return _refusal(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if _credentials(form, authorization) != (self.client_id, self.client_secret):
            return _refusal(401, "invalid_client", "client not found")
        if form.get("scope", self.scope) != self.scope:
            return _refusal(400, "invalid_scope", "the client has not been given this scope")
        return None


def _refusal(status: int, error: str, description: str) -> Refusal:
    return Refusal(status, {"error": error, "description": description, "error_description": description})


def _credentials(form: Mapping[str, str], authorization: str | None) -> tuple[str | None, str | None]:
    if authorization is None:
        return form.get("client_id"), form.get("client_secret")
    kind, _, pair = authorization.partition(" ")
    if kind.lower() != "basic":
        return None, None
    try:
        client_id, _, secret = b64decode(pair, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    is_guest_api = "scope" in form  # Genesys Cloud's own clients ask for none, and encode nothing
    return (unquote_plus(client_id), unquote_plus(secret)) if is_guest_api else (client_id, secret)
