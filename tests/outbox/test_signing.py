"""A rotation as a receiver sees it: over time, at each attempt, with the reference libraries as receivers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import standardwebhooks
import svix.webhooks
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from relay.client import verify
from relay.core.destination import LOOPBACK
from relay.core.moments import UnixMs
from relay.errors import SettingsError
from relay.outbox.formats import CLOUDEVENTS, STANDARD, Format
from relay.outbox.signing import keys_of
from relay.outbox.targets import targets_of
from relay.outbox.webhook import Target, Webhook
from relay.settings.endpoint import Endpoint
from tests.outbox.receiver import NEW_SECRET, SECRET, Got, Receiver
from tests.outbox.test_webhook import lease, wall
from tests.test_ed25519 import PUBLIC
from tests.test_ed25519 import SECRET as ED25519_SECRET

ORACLES: tuple[type[standardwebhooks.Webhook] | type[svix.webhooks.Webhook], ...] = (
    standardwebhooks.Webhook,
    svix.webhooks.Webhook,
)


def endpoint(*secrets: object) -> Endpoint:
    return Endpoint.model_validate({"url": "https://tracker.example", "secrets": secrets})


NEVER: UnixMs = 4_000_000_000_000


def retiring(secret: str, until: UnixMs) -> dict[str, object]:
    return {"secret": secret, "until": until / 1000}


@asynccontextmanager
async def webhook(
    url: str, *secrets: object, clock: list[UnixMs], form: Format = STANDARD
) -> AsyncIterator[Webhook]:
    target = Target(url, keys_of(endpoint(*secrets).secrets), form, allow=LOOPBACK)
    loop = asyncio.get_running_loop()
    hook = Webhook(target, wall=lambda: clock[0], now=lambda: loop.time() * 1000)
    try:
        yield hook
    finally:
        await hook.close()


def is_verified(got: Got, secret: str) -> bool:
    """What both libraries say; they agree."""
    (answer,) = {_is_verified_by(oracle(secret), got) for oracle in ORACLES}
    return answer


def _is_verified_by(oracle: standardwebhooks.Webhook | svix.webhooks.Webhook, got: Got) -> bool:
    try:
        oracle.verify(got.body.decode(), got.headers)
    except (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
        return False
    return True


async def test_an_old_secret_verifies_until_its_end_and_the_new_one_always(receiver: Receiver) -> None:
    """One webhook, three attempts; nothing is configured anew between them."""
    clock = [wall()]
    until = (clock[0] // 1000 + 60) * 1000
    async with webhook(receiver.url, NEW_SECRET, retiring(SECRET, until), clock=clock) as hook:
        for at in (clock[0], until - 1, until):
            clock[0] = at
            await hook.send(lease())
    assert [(is_verified(got, NEW_SECRET), is_verified(got, SECRET)) for got in receiver.got] == [
        (True, True),
        (True, True),
        (True, False),
    ]


async def test_five_secrets_sign_and_their_order_is_kept(receiver: Receiver) -> None:
    olds = [retiring(SECRET, wall() + number * 3_600_000) for number in (4, 3, 2, 1)]
    async with webhook(receiver.url, NEW_SECRET, *olds, clock=[wall()]) as hook:
        await hook.send(lease())
    (got,) = receiver.got
    entries = got.headers["webhook-signature"].split(" ")
    assert len(entries) == 5
    assert len(set(entries[1:])) == 1 != len(set(entries))


async def test_both_kinds_of_secret_sign_and_each_receiver_verifies_with_its_own(receiver: Receiver) -> None:
    async with webhook(receiver.url, ED25519_SECRET, SECRET, clock=[wall()]) as hook:
        await hook.send(lease())
    (got,) = receiver.got
    assert [entry.split(",")[0] for entry in got.headers["webhook-signature"].split(" ")] == ["v1a", "v1"]
    assert is_verified(got, SECRET)
    assert verify(got.headers, got.body, PUBLIC).type == "session.typing"


@pytest.mark.parametrize("secret", [SECRET, NEW_SECRET])
async def test_a_cloud_event_is_signed_over_the_bytes_that_are_sent(receiver: Receiver, secret: str) -> None:
    async with webhook(
        receiver.url, NEW_SECRET, retiring(SECRET, NEVER), clock=[wall()], form=CLOUDEVENTS
    ) as hook:
        await hook.send(lease())
    (got,) = receiver.got
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert is_verified(got, secret)
    event = from_http_event(HTTPMessage(got.headers, got.body))
    assert (event.get_id(), event.get_type()) == (got.event_id, "session.typing")


async def test_a_cloud_event_is_the_same_bytes_at_each_attempt(receiver: Receiver) -> None:
    clock = [wall()]
    receiver.answers = [500, 503, 200]
    async with webhook(receiver.url, SECRET, clock=clock, form=CLOUDEVENTS) as hook:
        for _ in range(3):
            await hook.send(lease())
            clock[0] += 60_000
    assert len({got.body for got in receiver.got}) == 1
    assert len({got.headers["webhook-signature"] for got in receiver.got}) == 3


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        (("whsk_canary",), "not base64"),
        (("whpk_canary",), "begin with `whsec_`"),
        ((retiring(SECRET, 1), ED25519_SECRET), "put its successor first"),
        ((NEW_SECRET, SECRET), "as a rule for 24 hours from now"),
        ((NEW_SECRET, ED25519_SECRET, ED25519_SECRET), "the one at place 3"),
    ],
)
def test_what_cannot_sign_is_told_and_never_repeated(secrets: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        keys_of(endpoint(*secrets).secrets)
    assert "canary" not in str(caught.value)


def test_an_ed25519_secret_without_the_extra_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as if it were not installed
    with pytest.raises(SettingsError) as caught:
        targets_of({"tracker": endpoint(ED25519_SECRET)})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("endpoints.tracker.secrets: ")
    assert "pip install cryptography" in line
