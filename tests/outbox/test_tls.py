"""An authority made for the test, a receiver that asks who is there, and files as operators get them wrong."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from relay.core.delivery import Failure
from relay.outbox.tls import tls_context
from tests.outbox.receiver import receiving
from tests.outbox.test_outbox import endpoint, running, typing
from tests.outbox.test_webhook import lease, webhook


@dataclass(frozen=True)
class Files:
    """PEM files of one authority, and of another."""

    authority: trustme.CA
    folder: Path

    def __getitem__(self, name: str | None) -> Path | None:
        return None if name is None else self.folder / name


@pytest.fixture
def files(tmp_path: Path) -> Files:
    authority, stranger = trustme.CA(), trustme.CA()
    ours, theirs = authority.issue_cert("relay@relay.example"), stranger.issue_cert("else@relay.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "other-ca.pem")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")
    theirs.private_key_pem.write_to_path(tmp_path / "other-key.pem")
    theirs.private_key_and_cert_chain_pem.write_to_path(tmp_path / "other-both.pem")
    key = load_pem_private_key(ours.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))
    (tmp_path / "locked.pem").write_bytes(locked)
    (tmp_path / "junk.pem").write_text("canary")
    return Files(authority, tmp_path)


def server_context(authority: trustme.CA, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context


async def failure_with(files: Files, *names: str | None, asks: bool = False) -> Failure | None:
    """Of a delivery made with these files: authority, certificate, key."""
    ca_file, cert, key = (files[name] for name in (*names, None, None, None)[:3])
    async with receiving(tls=server_context(files.authority, asks=asks)) as receiver:
        async with webhook(receiver.url, tls=tls_context(ca_file, cert, key)) as hook:
            _, answer = await hook.send(lease())
        assert len(receiver.got) == (answer.failure is None)
    return answer.failure


async def test_an_endpoints_own_authority_is_trusted(files: Files) -> None:
    assert await failure_with(files, "ca.pem") is None


@pytest.mark.parametrize("ca_file", ["other-ca.pem", None])
async def test_any_other_is_not(files: Files, ca_file: str | None) -> None:
    assert await failure_with(files, ca_file) is Failure.TLS


async def test_a_certificate_for_another_name_is_not_accepted(files: Files) -> None:
    async with receiving(tls=server_context(files.authority)) as receiver:
        url = receiver.url.replace("localhost", "127.0.0.1")
        async with webhook(url, tls=tls_context(files["ca.pem"], None, None)) as hook:
            _, answer = await hook.send(lease())
        assert receiver.got == []
    assert answer.failure is Failure.TLS


@pytest.mark.parametrize(("cert", "key"), [("both.pem", None), ("cert.pem", "key.pem")])
async def test_a_receiver_that_asks_is_shown_the_certificate(
    files: Files, cert: str, key: str | None
) -> None:
    shown = []

    async def look(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        shown.append(request.transport.get_extra_info("peercert")["subjectAltName"])
        return web.Response()

    async with receiving(tls=server_context(files.authority, asks=True)) as receiver:
        receiver.answers = [look]
        async with webhook(receiver.url, tls=tls_context(files["ca.pem"], files[cert], files[key])) as hook:
            _, answer = await hook.send(lease())
    assert answer.failure is None
    assert shown == [(("email", "relay@relay.example"),)]


@pytest.mark.parametrize("cert", [None, "other-both.pem"])
async def test_without_the_right_one_nothing_is_delivered(files: Files, cert: str | None) -> None:
    """Under TLS 1.3 the refusal comes after the handshake, and the reset that follows may overtake it."""
    failure = await failure_with(files, "ca.pem", cert, asks=True)
    assert failure in {Failure.TLS, Failure.CONNECT}


def test_without_files_the_systems_authorities_are_trusted_and_nothing_is_shown() -> None:
    assert tls_context(None, None, None) is None


@pytest.mark.parametrize("names", [("ca.pem", None, None), (None, "both.pem", None)])
def test_nothing_older_than_tls_1_2_is_spoken_and_the_receiver_is_verified(
    files: Files, names: tuple[str | None, ...]
) -> None:
    context = tls_context(*(files[name] for name in names))
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("missing.pem", None, None), "ca_file"),
        (("junk.pem", None, None), "ca_file"),
        (("key.pem", None, None), "ca_file"),
        (("", None, None), "ca_file"),
        ((None, "missing.pem", None), "client_cert"),
        ((None, "junk.pem", "key.pem"), "client_cert"),
        ((None, "cert.pem", None), "client_cert"),
        ((None, "cert.pem", "missing.pem"), "client_cert"),
        ((None, "cert.pem", "other-key.pem"), "mismatch"),
        ((None, "cert.pem", "locked.pem"), "not encrypted"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_why_and_no_path_is_repeated(
    files: Files, names: tuple[str | None, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        tls_context(*(files[name] for name in names))
    assert ".pem" not in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_a_certificate_renewed_under_its_name_is_shown_from_the_next_reload_on(
    files: Files, tmp_path: Path
) -> None:
    """The settings were the same, and so nothing was read: it ran out a month later."""
    shown = []

    async def look(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        shown.append(request.transport.get_extra_info("peercert")["serialNumber"])
        return web.Response()

    async with receiving(tls=server_context(files.authority, asks=True)) as receiver:
        receiver.answers = [look, look]
        tracker = endpoint(receiver.url, ca_file=files["ca.pem"], client_cert=files["both.pem"])
        async with running(tmp_path, inline=False, tracker=tracker) as outbox, asyncio.timeout(10):
            await outbox.append(typing("a"))
            await receiver.until(1)
            renewed = files.authority.issue_cert("relay@relay.example")
            renewed.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
            outbox.prepared({"tracker": tracker})()
            await outbox.append(typing("b"))
            await receiver.until(2)
    assert len(set(shown)) == 2
