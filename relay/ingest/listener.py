"""The public listener: aiohttp's low-level server, set up for callers we do not know.

Every setting here answers something a stranger can do: endless headers, idle connections, bodies that never end,
answers that are never read, bytes that are not HTTP. What aiohttp would log or answer about those repeats the bytes;
ours does not.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import http_parser, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from relay.core.moments import Ms
from relay.errors import SettingsError
from relay.ingest.answers import as_bytes, problem
from relay.ingest.prompt import AtOnce, PromptParser
from relay.observe.metrics import Metrics, Tally
from relay.observe.sampled import Sampled
from relay.observe.series import PARSE_ERRORS, UNREAD_CONNECTIONS
from relay.settings.models import Server

BACKLOG = 1024
UNREAD_S = 12.0
"""How long a connection may leave bytes of ours unread. A stream's own five and five seconds end before."""
HEADER_BYTES = 8190
LINE_BYTES = 4096
_SHARE_OF_FILES = 0.8  # the rest is for the outbox, the platform and the trackers

logger = logging.getLogger("relay.ingest")

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def http_options(keepalive_timeout_s: float) -> dict[str, Any]:
    """What every listener of ours asks of aiohttp; for `web.Server` and `web.AppRunner` alike."""
    return {
        "access_log": None,  # half of the throughput; and it writes callers' headers raw
        "auto_decompress": False,  # no bombs; an encoded body is refused
        "keepalive_timeout": keepalive_timeout_s,
        "lingering_time": 2.0,  # seconds the rest of a refused body is read, so that the answer arrives
        "max_field_size": HEADER_BYTES,
        "max_line_size": LINE_BYTES,
    }


def assert_compiled_parser() -> None:
    """Raises SettingsError where aiohttp fell back to its Python parser, the one most request smuggling was in."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError(
            "aiohttp runs without its compiled parser: unset AIOHTTP_NO_EXTENSIONS, or reinstall aiohttp from a wheel"
        )


def most_connections() -> int:
    """Four fifths of the process's file limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * _SHARE_OF_FILES)


_UNPARSED = {
    f"Got more than {LINE_BYTES} bytes": f"a request line of at most {LINE_BYTES} bytes is taken here",
    f"Got more than {HEADER_BYTES} bytes": f"a header of at most {HEADER_BYTES} bytes is taken here",
    "Missing 'Host'": "a Host header is wanted (RFC 9112 section 3.2)",
    "Content-Length": "the length of the body is not told as RFC 9112 section 6.2 has it",
    "HTTPS traffic": "this is TLS, and plain HTTP is spoken here: post to http://, or put a proxy in front",
    "": "the request line or a header is not as RFC 9112 has it",
}
"""What aiohttp says of bytes that are not HTTP, and what we say. The last is for everything else."""


class _Connection(web.RequestHandler):
    """aiohttp's, but for what is answered at once, and for what is said where a request cannot be read or answered."""

    __slots__ = ("_is_held", "_listener", "_unread", "_written")

    def __init__(self, listener: "Listener", **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._is_held = False
        self._unread: asyncio.TimerHandle | None = None
        self._parser = PromptParser(self._parser, self._answered_at_once)  # type: ignore[assignment]  # it is one to us

    def _answered_at_once(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Only where nobody is before it, and the caller reads its answers."""
        waiter, transport = self._waiter, self.transport
        if waiter is None or waiter.done() or transport is None or self.writing_paused:
            return False
        try:
            answer = self._listener.at_once(message, payload)
        except Exception as why:  # noqa: BLE001 - `failure` says it; what survives is everybody else's connection
            transport.write(as_bytes(self._listener.failure(500, why), time.time()))
            self.force_close()
            return True
        if answer is None:
            return False
        self._listener.post(transport, answer)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def pause_reading(self) -> None:
        self._is_held = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """aiohttp resumes after every body it hands over, which runs the parser on nothing: 8 % of a small event."""
        if self._is_held:
            self._is_held = False
            super().resume_reading(resume_parser)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._written = cast("asyncio.Transport", transport)  # aiohttp forgets its own once it closes it
        # Whatever the kernel does not take at once counts as unread. With room for more, closing would wait for it.
        self._written.set_write_buffer_limits(high=0)
        if self._listener.is_overfull:
            self.force_close()

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's own contract: True keeps our half open
        """A caller that has said all may be listening yet (RFC 9112 section 9.6): the request at work is answered.

        Not a stream, which would not hear that its caller has gone, and not a request whose body will not come any more.
        """
        waiter, parser = self._waiter, self._parser
        is_at_work = (waiter is None or waiter.done()) and self._payload_parser is None
        is_whole = isinstance(parser, PromptParser) and parser.last is not None and parser.last.is_eof()
        self.close()
        return is_at_work and is_whole

    def connection_lost(self, exc: BaseException | None) -> None:
        self._read_again()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Neither aiohttp's waiting for the caller to read nor a transport's closing ends by itself."""
        super().pause_writing()
        self._unread = asyncio.get_running_loop().call_later(UNREAD_S, self._give_up)

    def resume_writing(self) -> None:
        self._read_again()
        super().resume_writing()

    def _read_again(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self._listener.count_unread()
        self._written.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words: they repeat what was sent
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            raise ConnectionError("there is nobody to answer")
        response = self._listener.failure(status, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was under way")
        response.force_close()
        return response


class Listener(web.Server):
    """Make it inside the running loop. `most` connections at once; one more is closed as soon as it is accepted."""

    def __init__(
        self,
        answer: Answer,
        settings: Server,
        *,
        metrics: Metrics,
        now: Callable[[], Ms],
        most: int | None = None,
        at_once: AtOnce = lambda *_: None,
    ) -> None:
        super().__init__(answer)
        self.at_once = at_once
        self._unposted: list[tuple[asyncio.Transport, bytes]] = []
        self._options = http_options(settings.keepalive_timeout_s)
        self._most = most_connections() if most is None else most
        self._parse_errors: Tally = metrics.counter(PARSE_ERRORS)
        self._unread: Tally = metrics.counter(UNREAD_CONNECTIONS)
        self._sampled = Sampled()
        self._now = now

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._options)

    @property
    def is_overfull(self) -> bool:
        """True once there are more connections than the process can afford."""
        is_overfull = len(self._connections) > self._most  # aiohttp's own `connections` copies them
        if is_overfull:
            self._say("too_many_connections", None)
        return is_overfull

    def post(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write it when everything that has arrived by now is answered: callers are woken together, not one by one."""
        if not self._unposted:
            asyncio.get_running_loop().call_soon(self._post_all)
        self._unposted.append((transport, answer))

    def _post_all(self) -> None:
        unposted, self._unposted = self._unposted, []
        for transport, answer in unposted:
            if not transport.is_closing():
                transport.write(answer)

    def count_unread(self) -> None:
        """A connection is cut because nobody reads what is said there; counted, and logged now and then."""
        self._unread.value += 1
        self._say("unread", None)

    def failure(self, status: int, why: BaseException | None) -> web.Response:
        """The answer to bytes that are not HTTP (400), or to a fault of ours (500); counted, and logged now and then."""
        if status == 400:
            self._parse_errors.value += 1
            self._say("not_http", None)
            return problem(400, "Not HTTP", _unparsed(str(why)))
        self._say("fault", why)
        return problem(500, "Internal error", "this is a fault of the relay; its log says more")

    def _say(self, what: str, why: BaseException | None) -> None:
        kind = what if why is None else f"{what}:{type(why).__qualname__}"
        unsaid = self._sampled.unsaid(kind, self._now())
        if unsaid is not None:
            level = logging.INFO if why is None else logging.ERROR
            logger.log(level, "http.%s", what, exc_info=why, extra={"fields": {"unsaid": unsaid}})


def _unparsed(said: str) -> str:
    """By what aiohttp said of it, which is not passed on: it repeats what was sent."""
    return next((words for start, words in _UNPARSED.items() if start in said), _UNPARSED[""])
