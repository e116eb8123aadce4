"""A canary in every secret: none of them is ever said, whatever is asked, at whatever log level."""

import base64
from collections.abc import Iterator

from standardwebhooks import Webhook

from relay import wire
from relay.sandbox.chaos import Forced
from relay.sandbox.identity import Identity
from relay.sandbox.platform import StandInPlatform
from tests.whole.process import run, until
from tests.whole.town import Reply, Town, event, session_id

CLIENT_SECRET = "canary-of-the-client-0123456789"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"canary-of-the-webhook-0123456789").decode()
TOKEN = "sandbox-token-"
"""How every token of the stand-in begins."""

QUERY_CANARY = "canary-of-the-address"
HEADER_CANARY = "canary-of-a-static-header"
PROXY_CANARY = "canary-of-the-proxy"
SIGNING_KEY = "whsk_" + base64.b64encode(b"canary-of-the-ed25519-key-012345").decode()


def spellings(secret: str) -> Iterator[str]:
    """The secret as it stands, and the forms it takes on its way."""
    yield secret
    yield base64.b64encode(secret.encode()).decode()
    if secret.startswith(("whsec_", "whsk_")):
        bare = secret.partition("_")[2]
        yield bare
        yield base64.b64decode(bare).decode()


def _endpoints(url: str) -> str:
    """One that is told with a secret header and an ed25519 key, and one behind a proxy that is not there."""
    return f"""
[endpoints.headed]
url = "{url}"
secrets = ["{WEBHOOK_SECRET}", "{SIGNING_KEY}"]
allow_cidrs = ["127.0.0.0/8"]
headers = {{ Authorization = "{HEADER_CANARY}" }}
[endpoints.proxied]
url = "https://tracker.example/hook"
secrets = ["{WEBHOOK_SECRET}"]
allow_cidrs = ["127.0.0.0/8"]
proxy = "http://user:{PROXY_CANARY}@127.0.0.1:9"
"""


async def test_no_secret_is_ever_said(town: Town) -> None:
    made = await run(town.home, {}, "keys", "new", "desk", "--json")
    key, toml = (wire.loads(made.out)[name] for name in ("key", "toml"))
    (town.home / "relay.toml").write_text(toml + _endpoints(town.receiver.url))
    identity = Identity(client_secret=CLIENT_SECRET)
    async with StandInPlatform(town.platform.mischief.chaos, identity=identity) as platform:
        platform.mischief.force(  # what it says quotes what it was told, as some platforms do
            Forced(on="token", status=500, body={"error_description": f"bad secret {CLIENT_SECRET}"}),
            Forced(status=403, body={"message": f"token {TOKEN}000001 may not"}),
            Forced(status=401),
        )
        town.receiver.answers = [500, 200, 400]
        town.receiver.secrets = (WEBHOOK_SECRET,)
        environ = {
            "RELAY_CONFIG": "relay.toml",
            "RELAY_LOGGING__LEVEL": "debug",
            "GENESYS_API_BASE_URL": platform.base_url,
            "GENESYS_CLIENT_SECRET": CLIENT_SECRET,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "WEBHOOK_URL": f"{town.receiver.url}?token={QUERY_CANARY}",
        }
        replies: list[Reply] = []
        async with town.relay(**environ) as relay:
            bearer = {"Authorization": f"Bearer {key}"}
            await until(lambda: identity.granted, within_s=10)
            replies += [await town.post(relay, event(number), **bearer) for number in range(5)]
            replies += [
                await town.post(relay, event(), Authorization=f"Bearer {key}x"),
                await town.post(relay, event(), Authorization=f"Basic {key}"),
                await town.post(relay, event() | {"text": key}, **bearer),
                await town.post(relay, event() | {"guestId": CLIENT_SECRET + "/"}, **bearer),
                await town.ask("POST", f"{relay.public}/v1/events?key={key}", key, headers=bearer),
                await town.ask("GET", f"{relay.public}/{key}", headers=bearer),
                await town.ask("GET", f"{relay.operations}/v1/sessions/{key}"),
                await town.ask("GET", f"{relay.operations}/v1/audit?since={key}"),
            ]
            await until(lambda: len(platform.arrivals) >= 5 and town.receiver.got, within_s=10)
            paths = (
                "/readyz",
                "/healthz",
                "/metrics",
                "/v1/metrics",
                "/v1/sessions",
                "/v1/audit",
                "/v1/deliveries",
                "/v1/endpoints",
            )
            replies += [await town.look(relay, path) for path in (*paths, f"/v1/sessions/{session_id()}")]
            assert await relay.stop() == 0
            said = "\n".join([relay.ready_line, *relay.said])
            said += "\n".join(f"{dict(reply.headers)} {reply.body.decode()}" for reply in replies)
    for got in town.receiver.got:
        Webhook(WEBHOOK_SECRET).verify(got.body, got.headers)
    assert '"level":"debug"' in said, "the debug level was meant to be on"
    canaries = (CLIENT_SECRET, WEBHOOK_SECRET, key, key.rsplit("_", 1)[1], TOKEN, QUERY_CANARY)
    assert HEADER_CANARY in {got.headers.get("authorization") for got in town.receiver.got}
    for canary in (*canaries, HEADER_CANARY, PROXY_CANARY, SIGNING_KEY):
        for spelling in spellings(canary):
            assert spelling not in said, f"{canary[:12]}… was said"


async def test_no_content_and_no_plain_id_is_logged(town: Town) -> None:
    async with town.relay(RELAY_LOGGING__LEVEL="debug") as relay:
        await town.type(relay, 1, guestId="guest-canary", actor={"id": "actor-canary"})
        await until(lambda: town.events("typing_indicator"), within_s=5)
        assert await relay.stop() == 0
    said = "\n".join(relay.said)
    for canary in ("guest-canary", "actor-canary", session_id(1)):
        assert canary not in said
