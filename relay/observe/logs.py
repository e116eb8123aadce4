"""One JSON line per fact on standard error, safe to keep: ids as keyed hashes, secrets and content never.

    logger.info("delivery.attempted", extra={"fields": {"endpoint": "tracker", "session_id": "…"}})
    {"time":"…","level":"info","logger":"relay.delivery","event":"delivery.attempted","endpoint":"tracker",…}

Whoever logs gives the raw id under one of `HASHED`; whether it is hashed is decided here, once.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Literal, TextIO

from relay import wire
from relay.core.moments import rfc3339
from relay.errors import RelayError
from relay.observe.sampled import Sampled

HASHED = frozenset({"session_id", "guest_id", "communication_id", "actor"})
"""Fields that name a person or a conversation: the same id gives the same hash while the key lives."""

SECRET = frozenset({"authorization", "client_secret", "key", "password", "secret", "secrets", "token"})
"""Fields nobody should log; if somebody does, only that there was one."""

_HASH_BYTES = 8  # 16 hexadecimal digits tell a million sessions apart

# JSON escapes the controls below U+0020. What is left can still blank, reorder or break a terminal's line:
# DEL and C1, zero-width and direction marks, line and paragraph separators, embeddings, isolates, BOM.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class JsonLines(logging.Formatter):
    """A record as one line of JSON. `key` None: ids in plain."""

    def __init__(self, key: bytes | None) -> None:
        super().__init__()
        self._key = key

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= {name: self._shown(name, value) for name, value in fields.items()}
        if record.exc_info and record.exc_info[1] is not None:
            line |= _told(record.exc_info[1])
        return _UNSAFE.sub(_escaped, _json(line))

    def _shown(self, name: str, value: Any) -> Any:
        if name.lower() in SECRET:
            return "***"
        if isinstance(value, Mapping):
            return {inner: self._shown(str(inner), one) for inner, one in value.items()}
        if self._key is not None and name in HASHED and value is not None:
            return blake2b(str(value).encode(), key=self._key, digest_size=_HASH_BYTES).hexdigest()
        return value


def _json(line: dict[str, Any]) -> str:
    try:
        return wire.dumps(line).decode()
    except TypeError:  # a value JSON has no form for; a lost line would be worse than a vague one
        plain = (str, int, float, bool, type(None))
        return wire.dumps(
            {
                name: value if isinstance(value, plain) else type(value).__name__
                for name, value in line.items()
            }
        ).decode()


def _escaped(unsafe: re.Match[str]) -> str:
    return f"\\u{ord(unsafe.group()):04x}"


def _told(why: BaseException) -> dict[str, Any]:
    """An exception by type and place. Its words only where they are ours or the system's: others' hold input."""
    words = str(why) if isinstance(why, RelayError) else getattr(why, "strerror", None)
    frames = traceback.extract_tb(why.__traceback__)
    return {
        "exception": type(why).__qualname__,
        "message": words,
        "trace": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


class OnceInAWhile(logging.Filter):
    """For a library's logger that outsiders can make speak: one record per kind of exception in ten seconds.

    Its words are replaced, since what an outsider sent may stand in them; the exception's name and place stay.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sampled = Sampled()

    def filter(self, record: logging.LogRecord) -> bool:
        why = record.exc_info[1] if record.exc_info else None
        kind = type(why).__qualname__ if why is not None else record.name
        unsaid = self._sampled.unsaid(kind, record.created * 1000)
        if unsaid is None:
            return False
        record.msg, record.args = "http.error", ()
        record.fields = {"kind": kind, "unsaid": unsaid}
        return True


def setup(
    level: str,
    log_ids: Literal["hashed", "plain"],
    *,
    key: bytes | None = None,
    stream: TextIO | None = None,
) -> None:
    """Sends every logger of the process here; what was set up before is replaced.

    `key` (up to 64 bytes) keeps hashes comparable between processes; by default each process makes its own.
    """
    pepper = None if log_ids == "plain" else (key or token_bytes(32))
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(pepper))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quieten(logging.getLogger("aiohttp.server"))


def _quieten(logger: logging.Logger) -> None:
    logger.filters[:] = [OnceInAWhile()]
