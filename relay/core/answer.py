"""What a platform's answer to a typing call means.

    2xx                     Shown
    429, 503 + Retry-After  CoolOff: this session's where the answer names a session's limit, else everybody's
    401                     Unauthorised (the gateway makes it Expired where a new token can be had)
    408, 502, 504, 5xx      Unreachable: a middlebox or the platform could not; 502 and 504 may have been applied
    any other               Refused

Standard error bodies are read: `{message, code, status, contextId, limit: {key, namespace, value}}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from relay.core.moments import Ms, UnixMs
from relay.core.outcome import CoolOff, Failure, Outcome, Refused, Shown, Unauthorised, Unreachable
from relay.core.retry_after import parse_retry_after

MOST_MESSAGE_CHARS = 300
MAYBE_APPLIED = frozenset({502, 504})

_OF_ONE_SESSION = re.compile(r"\b(conversation|session|communication)s?\b", re.IGNORECASE)
_OF_AN_IDENTITY = re.compile(r"\b(app|client|org|organization|token|user)s?\b", re.IGNORECASE)
_LIMIT_HEADERS = ("ratelimit-policy", "x-ratelimit-scope")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `headers` are looked up in lower case; `body` is its JSON object, {} if it had none.

    `is_whole` False: the body was longer than is read, and nothing is known of it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    latency_ms: Ms = 0.0
    is_whole: bool = True

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The platform's own word, on one line and of bounded length; empty if it had none."""
        return _line(self.body.get("message"))

    @property
    def code(self) -> str:
        """The platform's own code, else the status in words (`not_found`)."""
        return _line(self.body.get("code")) or _in_words(self.status)


def outcome_of(answer: Answer, wall: UnixMs, *, advice: Mapping[int, str]) -> Outcome:
    """What came of a typing call that got `answer`; `advice` says per status what the operator can do."""
    message, hint = answer.message, advice.get(answer.status, "")
    match answer.status:
        case status if answer.is_success:
            return Shown(status, answer.latency_ms)
        case 401:
            return Unauthorised(message=message, advice=hint)
        case 408:
            return Unreachable(Failure.TIMEOUT, 408, message=message, advice=hint)
        case 429 | 503 as status if status == 429 or wait_asked(answer, wall) is not None:
            wait_ms, for_session = wait_asked(answer, wall), is_for_session(answer)
            return CoolOff(status, wait_ms, for_session=for_session, message=message, advice=hint)
        case status if status >= 500:
            is_unknown = status in MAYBE_APPLIED
            return Unreachable(Failure.SERVER, status, is_unknown=is_unknown, message=message, advice=hint)
        case status:
            return Refused(status, answer.code, message=message, advice=hint)


def wait_asked(answer: Answer, wall: UnixMs) -> Ms | None:
    """The answer's Retry-After, None if it has none that can be read."""
    return parse_retry_after(answer.headers.get("retry-after"), wall)


def is_for_session(answer: Answer) -> bool:
    """True where the limit that was hit is named as a conversation's or session's own.

    On Genesys Cloud the namespace is the service's name, the key says whose calls are counted where it says so at all.
    A limit of its conversation service is taken for one conversation's unless its key names the caller: taking it for
    everybody's would let one busy conversation silence all.
    """
    limit = answer.body.get("limit")
    key, namespace = (limit.get("key"), limit.get("namespace")) if isinstance(limit, Mapping) else ("", "")
    if _says(key, _OF_AN_IDENTITY):
        return False
    named = (key, namespace, *(answer.headers.get(name) for name in _LIMIT_HEADERS))
    return any(_says(name, _OF_ONE_SESSION) for name in named)


def _says(name: object, what: re.Pattern[str]) -> bool:
    return isinstance(name, str) and what.search(re.sub(r"[._-]", " ", name)) is not None


def _line(value: object) -> str:
    if not isinstance(value, str):
        return ""
    printable = "".join(char if char.isprintable() else " " for char in value[:MOST_MESSAGE_CHARS])
    return printable.strip()


def _in_words(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_")
    except ValueError:
        return f"status_{status}"
