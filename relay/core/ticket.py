"""Tickets: leave for one actor of one session to post for a few minutes, told and checked without keeping anything.

    trt_<base64url of the fields, one a line>.<base64url of their HMAC-SHA256>

A browser cannot set a WebSocket's headers and must not hold a key; a ticket fits into `Sec-WebSocket-Protocol` (its
characters are those of an RFC 9110 token) and is worth little to whoever reads it along. Ids hold no line break.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from relay.core.indicator import Address
from relay.core.moments import UnixMs

PREFIX = "trt_"
LONGEST_S = 600
_LONGEST_CHARS = 2048  # seven ids of at most 128 characters and a name, with room to spare
_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Ticket:
    """Good for events of `actor` (the core's word: `agent-7/phone`) at `address`, until before `until`."""

    source: str
    gateway: str
    address: Address
    actor: str
    until: UnixMs


def sealed(ticket: Ticket, key: bytes) -> str:
    """The ticket as its bearer shows it; `key` is 32 random bytes."""
    address = ticket.address
    fields = (
        ticket.source, ticket.gateway, address.session_id, address.guest_id or "", address.communication_id or "",
        address.agent_user_id or "", ticket.actor, str(ticket.until),
    )  # fmt: skip
    told = _text("\n".join(fields).encode())
    return f"{PREFIX}{told}.{_text(_mac(told, key))}"


def opened(text: str, key: bytes, now: UnixMs) -> Ticket | None:
    """The ticket in any text at all, if we sealed it and it is not over; never raises."""
    told, _, seal = text.removeprefix(PREFIX).partition(".")
    if len(text) > _LONGEST_CHARS or not text.isascii() or not text.startswith(PREFIX):
        return None
    # The seal is over the text as shown: base64 has several spellings of the same bytes, and only ours is good.
    if not hmac.compare_digest(_text(_mac(told, key)), seal):
        return None
    ticket = _read(told)
    return ticket if ticket is not None and now < ticket.until else None


def _read(told: str) -> Ticket | None:
    try:
        fields = base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode().split("\n")
    except (binascii.Error, ValueError):
        return None
    if len(fields) != _FIELDS:
        return None
    source, gateway, session, guest, communication, agent, actor, until = fields
    address = Address(session, guest or None, communication or None, agent or None)
    return Ticket(source, gateway, address, actor, int(until))


def _mac(told: str, key: bytes) -> bytes:
    return hmac.digest(key, f"ticket.1.{told}".encode(), hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
