"""`deploy/nginx.conf`: its figures fit the relay's, and the relay behind it is as it is without, but for who is local."""

import asyncio
import os
import pwd
import re
import secrets
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import hdrs, web
from aiohttp.abc import AbstractResolver, ResolveResult

from relay import wire
from relay.ingest.keys import NewKey, new_key
from relay.ingest.listener import UNREAD_S
from relay.ingest.stream import PING_AFTER_S, PONG_WITHIN_S
from relay.settings.models import Operations, Server
from tests.whole.process import ROOT, RelayProcess
from tests.whole.town import BRISK, Town, event, session_id

TEXT = (ROOT / "deploy" / "nginx.conf").read_text()
NAME = "relay.example"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt install nginx-light")

AROUND = """{user}
daemon off;
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log info;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/typing-relay.conf;
}}
"""
"""What the machine's own nginx.conf is, as far as it matters."""


def seconds(directive: str) -> list[float]:
    return [float(value) for value in re.findall(rf"^ *{directive} (\d+)s;", TEXT, re.MULTILINE)]


def test_its_bounds_are_the_relays() -> None:
    server = Server()
    assert re.findall(r"client_max_body_size (\d+)m;", TEXT) == [str(server.max_batch_bytes >> 20)]
    assert re.findall(r"client_body_buffer_size (\d+)m;", TEXT) == [str(server.max_batch_bytes >> 20)]
    assert seconds("client_body_timeout") == [server.body_timeout_s]
    assert seconds("send_timeout") == [UNREAD_S]
    (kept,) = seconds("keepalive_timeout")
    assert kept < server.keepalive_timeout_s, "the relay would close what nginx is about to post on"
    (unheard,) = seconds("proxy_read_timeout")
    assert unheard > PING_AFTER_S + PONG_WITHIN_S, "a silent stream would end before the relay had asked"


def test_it_leads_to_the_public_listener_and_nowhere_else() -> None:
    assert re.findall(r"^ *server (\S+);", TEXT, re.MULTILINE) == [f"127.0.0.1:{Server().port}"]
    assert re.findall(r"proxy_pass (\S+);", TEXT) == ["http://typing_relay"]
    assert str(Operations().port) not in TEXT


def test_it_says_that_it_passes_on_and_writes_down_no_header() -> None:
    (location,) = re.findall(r"location / \{(.*?)\n    \}", TEXT, re.DOTALL)
    assert {"X-Forwarded-For $remote_addr", "Host $http_host"} <= set(
        re.findall(r"proxy_set_header (.+);", location)
    )
    (written,) = re.findall(r"^log_format typing_relay '(.*)';", TEXT, re.MULTILINE)
    assert not re.search(
        r"\$(request|request_uri|args|query_string|request_body|(sent_)?(http|cookie|arg)_\w+)\b", written
    )


@dataclass
class Local(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family or 2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


@dataclass
class Front:
    """nginx at work; `http` trusts its certificate and finds it under its name."""

    url: str
    http: aiohttp.ClientSession
    home: Path

    async def post(self, body: bytes, **headers: str) -> int:
        said = {"Content-Type": "application/json"} | headers
        async with self.http.post(f"{self.url}/v1/events", data=BytesIO(body), headers=said) as response:
            await response.read()
            return response.status

    async def get(self, path: str) -> int:
        async with self.http.get(self.url + path) as response:
            return response.status


def written(home: Path, port: int, to_port: int) -> Path:
    """The file as it is, but for its ports, its certificate and its log; and one around it."""
    home.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "ca.pem")
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(home / "both.pem")
    here = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "127.0.0.1:8080": f"127.0.0.1:{to_port}",
        "/etc/ssl/relay.example/fullchain.pem": f"{home}/both.pem",
        "/etc/ssl/relay.example/key.pem": f"{home}/both.pem",
        "/var/log/nginx/typing-relay.log": f"{home}/access.log",
    }
    text = TEXT
    for there, mine in here.items():
        assert text.count(there) == 1, there
        text = text.replace(there, mine)
    (home / "typing-relay.conf").write_text(text)
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""  # its folder is nobody else's
    (home / "nginx.conf").write_text(AROUND.format(user=user, home=home))
    return home / "nginx.conf"


def taken(home: Path, file: Path) -> list[str]:
    """The command that runs nginx with this file, which it finds nothing wrong with."""
    assert NGINX is not None
    command = [NGINX, "-p", str(home), "-e", str(home / "error.log"), "-c", str(file)]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr
    return command


@asynccontextmanager
async def fronting(home: Path, port: int, to_port: int) -> AsyncIterator[Front]:
    command = taken(home, written(home, port, to_port))
    process = await asyncio.create_subprocess_exec(*command)
    context = ssl.create_default_context(cafile=str(home / "ca.pem"))
    connector = aiohttp.TCPConnector(resolver=Local(), ssl=context)
    try:
        async with aiohttp.ClientSession(connector=connector) as http:
            await _listening(port)
            yield Front(f"https://{NAME}:{port}", http, home)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


@dataclass
class Behind:
    """Whatever stands behind nginx: it keeps what it was asked, and from where."""

    port: int = 0
    asked: list[web.BaseRequest] = field(default_factory=list)
    peers: set[object] = field(default_factory=set)

    async def take(self, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.asked.append(request)
        await request.read()
        return web.Response()


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    behind = Behind()
    runner = web.ServerRunner(web.Server(behind.take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    behind.port = runner.addresses[0][1]
    yield behind
    await runner.cleanup()


@needs_nginx
async def test_a_request_arrives_marked_as_forwarded_over_connections_that_are_kept(
    tmp_path: Path, behind: Behind, unused_tcp_port: int
) -> None:
    async with fronting(tmp_path / "nginx", unused_tcp_port, behind.port) as front:
        for _ in range(5):
            await front.post(b"{}", Forwarded="for=1.2.3.4", **{"X-Forwarded-For": "1.2.3.4"})
    assert len(behind.peers) == 1
    for request in behind.asked:
        assert request.headers[hdrs.HOST] == f"{NAME}:{unused_tcp_port}"
        assert request.headers.getall("X-Forwarded-For") == ["127.0.0.1"]
        assert request.headers["X-Forwarded-Proto"] == "https"
        assert not {"Forwarded", "Connection", "Upgrade"} & request.headers.keys()


@needs_nginx
async def test_no_other_protocol_is_let_through(tmp_path: Path, behind: Behind, unused_tcp_port: int) -> None:
    async with fronting(tmp_path / "nginx", unused_tcp_port, behind.port) as front:
        for said in ("h2c", "websocket", "TLS/1.0"):
            await front.post(b"{}", Upgrade=said, Connection="Upgrade, HTTP2-Settings")
    passed = [(r.headers.get("Upgrade"), r.headers.get("Connection")) for r in behind.asked]
    assert passed == [(None, None), ("websocket", "upgrade"), (None, None)]


@asynccontextmanager
async def relay_behind(town: Town, port: int, toml: str) -> AsyncIterator[tuple[Front, RelayProcess]]:
    (town.home / "relay.toml").write_text(toml)
    told = {"RELAY_CONFIG": "relay.toml", "RELAY_SERVER__ALLOWED_HOSTS": NAME}
    async with town.relay(BRISK, **told) as relay:
        to_port = int(relay.public.rpartition(":")[2])
        async with fronting(town.home / "nginx", port, to_port) as front:
            yield front, relay


def made() -> NewKey:
    return new_key("desk", random=secrets.token_bytes)


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.key}"}


def batch(size_bytes: int) -> bytes:
    """An array of events, and room between them."""
    body = wire.dumps([event(number) for number in range(500)])
    return body[:-1] + b" " * (size_bytes - len(body)) + b"]"


@needs_nginx
async def test_events_come_in_by_key_up_to_the_largest_batch_and_the_key_is_written_nowhere(
    town: Town, unused_tcp_port: int
) -> None:
    key = made()
    async with relay_behind(town, unused_tcp_port, key.toml) as (front, _):
        one = wire.dumps(event())
        largest = Server().max_batch_bytes
        assert await front.post(one, **bearer(key)) == 202
        assert await front.post(batch(largest), **bearer(key)) == 202
        assert await front.post(batch(largest + 1), **bearer(key)) == 413
        assert await front.post(one) == 401
        assert await front.post(one, **bearer(key), Host="other.example") == 403
        assert await front.get("/docs?key=in-a-query") == 200
    access, errors = ((front.home / name).read_text() for name in ("access.log", "error.log"))
    assert "POST /v1/events 202" in access
    assert key.key not in access + errors
    assert "in-a-query" not in access


@needs_nginx
async def test_the_operators_doors_are_not_behind_it(town: Town, unused_tcp_port: int) -> None:
    async with relay_behind(town, unused_tcp_port, made().toml) as (front, relay):
        for path in (
            "/healthz",
            "/readyz",
            "/metrics",
            "/v1/sessions",
            "/v1/audit",
            "//v1/audit",
            "/v1/../metrics",
        ):
            assert await front.get(path) == 404, path
        assert (await town.look(relay, "/readyz")).status == 200


@needs_nginx
async def test_without_sources_whoever_comes_through_it_is_not_on_this_machine(
    town: Town, unused_tcp_port: int
) -> None:
    async with relay_behind(town, unused_tcp_port, "") as (front, relay):
        assert await front.post(wire.dumps(event())) == 401
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await front.http.ws_connect(f"{front.url}/v1/stream")
        assert (await town.post(relay, event())).status == 202


@needs_nginx
async def test_a_stream_is_acknowledged_and_pinged_and_outlives_its_silence(
    town: Town, unused_tcp_port: int
) -> None:
    """Twenty seconds of real time: the relay pings who has been silent for as long, through nginx as without it."""
    key, keystroke = made(), wire.dumps(event()).decode()
    async with (
        relay_behind(town, unused_tcp_port, key.toml) as (front, _),
        front.http.ws_connect(f"{front.url}/v1/stream", headers=bearer(key), autoping=False) as stream,
    ):
        await stream.send_str(keystroke)
        assert (await stream.receive(timeout=5)).data == '{"ack":1}'
        pinged = await stream.receive(timeout=PING_AFTER_S + 5)
        assert pinged.type is aiohttp.WSMsgType.PING
        await stream.pong(pinged.data)
        await stream.send_str(keystroke)
        assert (await stream.receive(timeout=5)).data == '{"ack":2}'
    assert town.told()[0] == "typing"
    assert town.calls()[0].session_id == session_id()
