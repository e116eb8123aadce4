"""Chatwoot: the webhook of an account or an API inbox.

    conversation_typing_on     an agent or a bot began; said once, however long it lasts    ─► thinking
    conversation_typing_off    idle for some seconds, or gone elsewhere                     ─► paused
    message_created, outgoing  which ends the typing                                        ─► message_sent
    of the contact, others                                                                  ─► nothing

A message is told apart by its number. Typing has none: what tells a repeat is the delivery's own (`signatures`).
A note between agents (`is_private`, `private`) is private activity: it moves its actor and is never shown.
`thinking` for the same reason as in `genesys_open`: it lasts until it is ended or its lease runs out.

https://www.chatwoot.com/docs/product/others/webhook-events
"""

from typing import Any

from relay.core.activity import Kind
from relay.ingest.adapters.payload import Paths, Payload, fitted, id_at, id_of, parsed, text_at
from relay.ingest.events import Actor, Event

PATHS = Paths("conversation.contact_inbox.source_id", "conversation.contact_inbox.contact_id")
"""What an API inbox was told to call this customer, else a UUID of Chatwoot's; and the contact's number."""

TYPING = "typing"
_KINDS = {
    "conversation_typing_on": Kind.THINKING,
    "conversation_typing_off": Kind.PAUSED,
    "message_created": Kind.MESSAGE_SENT,
}
_OURS = {"user": "agent", "agent_bot": "bot"}
"""Who may be shown to a guest, by Chatwoot's `type`; a contact has another or none."""


def events(payload: Payload, paths: Paths) -> list[Event]:
    """What one delivery says: one event or none. Raises BadField."""
    kind = _KINDS.get(text_at(payload, "event"))
    if kind is Kind.MESSAGE_SENT:
        return _message(payload, paths) if payload.get("message_type") == "outgoing" else []
    return [] if kind is None else _typing(payload, paths, kind)


def read(body: bytes, paths: Paths) -> list[Event]:
    return events(parsed(body), paths)


def _typing(payload: Payload, paths: Paths, kind: Kind) -> list[Event]:
    actor = _actor_of(payload.get("user"))
    if actor is None:
        return []
    event = _event(payload, paths, kind, actor, is_private=payload.get("is_private") is True)
    return [event | {"thinkingId": TYPING}] if kind is Kind.THINKING else [event]


def _message(payload: Payload, paths: Paths) -> list[Event]:
    actor, number = _actor_of(payload.get("sender")), id_of(payload.get("id"))
    if actor is None:
        return []
    event = _event(payload, paths, Kind.MESSAGE_SENT, actor, is_private=payload.get("private") is True)
    return [event if number is None else event | {"id": fitted(f"message-{number}")}]


def _event(payload: Payload, paths: Paths, kind: Kind, actor: Actor, *, is_private: bool) -> Event:
    return {
        "sessionId": id_at(payload, paths.session),
        "guestId": id_at(payload, paths.guest),
        "type": kind,
        "actor": actor,
        "visibility": "private" if is_private else "public",
    }


def _actor_of(who: Any) -> Actor | None:
    """An agent or a bot by its number; None for the contact, and for whoever is not named."""
    if not isinstance(who, dict):
        return None
    said, number = who.get("type"), id_of(who.get("id"))
    kind = _OURS.get(said) if isinstance(said, str) else None
    if kind is None or number is None:
        return None
    name = fitted(f"{said}-{number}")
    return {"id": name, "kind": "agent" if kind == "agent" else "bot"}
