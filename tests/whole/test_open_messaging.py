"""A middleware of one's own between Open Messaging and a guest: the platform's webhook goes straight to the relay."""

from collections.abc import Mapping

from tests.sandbox.cloud import AGENT, Caller
from tests.whole.process import RelayProcess, until
from tests.whole.town import BRISK, Town, session_id

SECRET = "the-integration's-own-secret"
HUB: Mapping[str, str] = {
    "RELAY_SOURCES__HUB__ADAPTER": "genesys-open",
    "RELAY_SOURCES__HUB__SECRETS": f'["{SECRET}"]',
}


async def agent_of(town: Town, relay: RelayProcess, visitor_id: str, *, secret: str = SECRET) -> Caller:
    """An agent in the conversation of a visitor whose middleware's webhook is the relay's source."""
    it = Caller(town.http, town.platform)
    await it.log_in()
    given = {"webhookUrl": f"{relay.public}/v1/sources/hub", "secret": secret}
    switches = {"inboundTyping": True, "outboundTyping": True}
    integration = (await it.call("POST", "/sandbox/integrations", json=given | switches)).body["id"]
    channel = {"from": {"id": visitor_id, "idType": "Opaque"}, "time": "2026-01-01T10:00:00.000Z"}
    path = f"/api/v2/conversations/messages/{integration}/inbound/open/event"
    body = {"channel": channel, "events": [{"eventType": "Typing"}]}
    assert (await it.call("POST", path, json=body, headers=it.bearer)).status == 200
    conversation = town.platform.cloud.conversations.of_visitor(integration, visitor_id)
    assert conversation is not None
    conversation.connect(AGENT, 0)
    it.conversation = conversation
    return it


async def types(it: Caller) -> None:
    leg = it.conversation.legs[-1].communication_id
    assert (await it.type(leg=leg)).status == 200


async def test_an_agents_typing_on_the_platform_is_shown_to_the_middlewares_guest(town: Town) -> None:
    hub = town.platform.open_messaging
    async with town.relay(BRISK, **HUB) as relay:
        stranger = await agent_of(town, relay, session_id(2), secret="the-secret-of-another")
        await types(stranger)
        await until(lambda: hub.missed == 1, within_s=5)

        agent = await agent_of(town, relay, session_id())
        await types(agent)
        await until(lambda: town.told()[:1] == ["typing"], within_s=5)
        town.platform.cloud.say(agent.conversation, "Good morning")
        await until(lambda: town.told()[-1:] == ["typing_stopped"], within_s=5)
        await until(lambda: len(town.transitions()) == 2, within_s=5)

    assert town.transitions() == [("typing", "thinking"), ("stopped", "message")]
    assert {(call.guest_id, call.status) for call in town.calls()} == {(session_id(), 200)}
    assert (hub.told, hub.missed) == (2, 1)
    assert (town.told(2), town.transitions(2)) == ([], [])
