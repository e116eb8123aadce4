"""The platform's own Python SDK as a program: a call in a line of JSON, what came of it in a line of JSON.

A process of its own, since importing the SDK costs two seconds and 200 MB and starts a thread that watches the home
directory. It is used as it comes: only its host is set, and where `retries` is false its pool's retries are off.
"""

import json
import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import PureCloudPlatformClientV2 as Sdk
from PureCloudPlatformClientV2.rest import ApiException

Asked = dict[str, Any]  # as the test wrote it; the SDK ships no types


def get_conversation(client: Any, asked: Asked) -> Any:
    return Sdk.ConversationsApi(client).get_conversation(asked["conversation_id"])


def get_conversations_message(client: Any, asked: Asked) -> Any:
    return Sdk.ConversationsApi(client).get_conversations_message(asked["conversation_id"])


def get_conversations_message_details(client: Any, asked: Asked) -> Any:
    return Sdk.ConversationsApi(client).get_conversations_message_details(asked["message_id"])


def get_webmessaging_messages(client: Any, asked: Asked) -> Any:
    """The one call to which the SDK adds no bearer: a guest's JWT is for its user to set."""
    client.set_default_header("Authorization", f"Bearer {asked['jwt']}")
    page = {"page_size": asked["page_size"], "page_number": asked["page_number"]}
    return Sdk.WebMessagingApi(client).get_webmessaging_messages(**page)


def available_topics(client: Any, _asked: Asked) -> Any:
    return Sdk.NotificationsApi(client).get_notifications_availabletopics()


def open_channel(client: Any, _asked: Asked) -> Any:
    return Sdk.NotificationsApi(client).post_notifications_channels()


def subscribe(client: Any, asked: Asked) -> Any:
    """Added with `how` post, instead of what was with put."""
    topics = [Sdk.ChannelTopic() for _ in asked["topics"]]
    for topic, name in zip(topics, asked["topics"], strict=True):
        topic.id = name
    api = Sdk.NotificationsApi(client)
    how = {
        "post": api.post_notifications_channel_subscriptions,
        "put": api.put_notifications_channel_subscriptions,
    }
    return how[asked["how"]](asked["channel_id"], topics)


def typing_notification(client: Any, asked: Asked) -> Any:
    """What the SDK's model of a typing topic's event makes of this one."""
    model = "V2ConversationMessageTypingEventForUserTopicMessageData"
    heard = SimpleNamespace(data=json.dumps(asked["event"]), getheader=lambda _: "application/json")
    return client.deserialize(heard, model)


def typing(client: Any, asked: Asked) -> Any:
    body = Sdk.MessageTypingEventRequest()
    body.typing = Sdk.ConversationEventTyping()
    body.typing.type = asked.get("type", "On")
    body.typing.duration = asked.get("duration")
    body.date_sent = datetime.fromisoformat(asked["date_sent"]) if "date_sent" in asked else None
    return Sdk.ConversationsApi(client).post_conversations_message_communication_typing(
        asked["conversation_id"], asked["communication_id"], body
    )


def inbound_open_event(client: Any, asked: Asked) -> Any:
    event, channel = Sdk.OpenEvent(), Sdk.OpenInboundMessagingChannel()
    event.event_type = "Typing"
    channel.time = datetime.fromisoformat(asked["time"])
    channel.pcFrom = Sdk.OpenMessagingFromRecipient()
    channel.pcFrom.id, channel.pcFrom.id_type = "visitor-1", "Opaque"
    body = Sdk.OpenInboundNormalizedEvent()
    body.channel, body.events = channel, [event]
    return Sdk.ConversationsApi(client).post_conversations_message_inbound_open_event(
        asked["integration_id"], body
    )


CALLS = {
    each.__name__: each
    for each in (
        get_conversation,
        get_conversations_message,
        get_conversations_message_details,
        get_webmessaging_messages,
        typing,
        inbound_open_event,
        available_topics,
        open_channel,
        subscribe,
        typing_notification,
    )
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
        made = CALLS[asked["call"]](client, asked)
        return {"made": client.sanitize_for_serialization(made)}
    except ApiException as why:
        headers = {name.lower(): value for name, value in (why.headers or {}).items()}
        return {"status": why.status, "body": json.loads(why.body or "null"), "headers": headers}


for line in sys.stdin:
    print(json.dumps(answer_to(json.loads(line))), flush=True)
