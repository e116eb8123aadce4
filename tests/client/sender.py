"""Sends callbacks as a relay would, signed by the reference library, so that no mistake is shared."""

from datetime import UTC, datetime
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from relay import wire


def transition(sequence: int, state: str = "typing", *, session_id: str = "s1") -> dict[str, Any]:
    return {
        "type": f"session.{state}",
        "timestamp": "2026-11-22T10:00:00.123Z",
        "data": {"sessionId": session_id, "guestId": "g-1", "gateway": "guest", "sequence": sequence},
    }


async def send(url: str, secret: str, message_id: str, event: dict[str, Any]) -> int:
    """The status it was answered with."""
    at, text = datetime.now(UTC), wire.dumps(event).decode()
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, text),
    }
    async with aiohttp.ClientSession() as http, http.post(url, data=text, headers=headers) as response:
        return response.status
