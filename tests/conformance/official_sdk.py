"""The platform's own Python SDK as a program: a call in a line of JSON, what came of it in a line of JSON.

A process of its own, since importing the SDK costs two seconds and 200 MB and starts a thread that watches the home
directory. It is used as it comes: only its host is set, and where `retries` is false its pool's retries are off.
"""

import json
import sys
from datetime import datetime
from typing import Any

import PureCloudPlatformClientV2 as Sdk
from PureCloudPlatformClientV2.rest import ApiException

Asked = dict[str, Any]  # as the test wrote it; the SDK ships no types


def get_conversation(api: Any, asked: Asked) -> Any:
    return api.get_conversation(asked["conversation_id"])


def get_conversations_message(api: Any, asked: Asked) -> Any:
    return api.get_conversations_message(asked["conversation_id"])


def typing(api: Any, asked: Asked) -> Any:
    body = Sdk.MessageTypingEventRequest()
    body.typing = Sdk.ConversationEventTyping()
    body.typing.type = asked.get("type", "On")
    body.typing.duration = asked.get("duration")
    body.date_sent = datetime.fromisoformat(asked["date_sent"]) if "date_sent" in asked else None
    return api.post_conversations_message_communication_typing(
        asked["conversation_id"], asked["communication_id"], body
    )


def inbound_open_event(api: Any, asked: Asked) -> Any:
    event, channel = Sdk.OpenEvent(), Sdk.OpenInboundMessagingChannel()
    event.event_type = "Typing"
    channel.time = datetime.fromisoformat(asked["time"])
    channel.pcFrom = Sdk.OpenMessagingFromRecipient()
    channel.pcFrom.id, channel.pcFrom.id_type = "visitor-1", "Opaque"
    body = Sdk.OpenInboundNormalizedEvent()
    body.channel, body.events = channel, [event]
    return api.post_conversations_message_inbound_open_event(asked["integration_id"], body)


CALLS = {
    each.__name__: each for each in (get_conversation, get_conversations_message, typing, inbound_open_event)
}


def client_of(asked: Asked) -> Any:
    """Logged in, or with the token it is told to use."""
    client = Sdk.ApiClient(host=asked["host"])
    if asked.get("retries") is False:
        pools = client.get_http_client().rest_client.pool_manager
        pools.connection_pool_kw["retries"] = False
    if "token" in asked:
        client.access_token = asked["token"]
        return client
    return client.get_client_credentials_token(asked["client_id"], asked["client_secret"])


def answer_to(asked: Asked) -> Asked:
    try:
        client = client_of(asked)
        made = CALLS[asked["call"]](Sdk.ConversationsApi(client), asked)
        return {"made": client.sanitize_for_serialization(made)}
    except ApiException as why:
        headers = {name.lower(): value for name, value in (why.headers or {}).items()}
        return {"status": why.status, "body": json.loads(why.body or "null"), "headers": headers}


for line in sys.stdin:
    print(json.dumps(answer_to(json.loads(line))), flush=True)
