"""One bearer token for everybody: OAuth 2.0 client credentials (RFC 6749 section 4.4).

    start ─► log in ─► token ─► timer at renew_at ─► log in …
                ▲                      bearer()      the token in hand, else the log-in under way
                └───────────────────── renewed()     after a 401: at most one log-in for any number of callers

There is never more than one log-in under way, and none is started by counting callers: `TokenCache` decides.
"""

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from relay.core.answer import Answer, wait_asked
from relay.core.moments import Ms, UnixMs
from relay.core.token import Remedy, Token, TokenCache, life_of
from relay.gateway.http import HttpDoor, Lost

logger = logging.getLogger("relay.gateway")

LOGIN_TIMEOUT_MS: Ms = 10_000.0
"""A log-in's own deadline; its callers wait no longer than theirs."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
# RFC 6749 appendix A.12 allows spaces too, but no header survives them.


@dataclass(frozen=True, slots=True)
class LoginProblem:
    """Why there is no token. `advice` is the fix; `status` None where the platform did not answer."""

    advice: str
    status: int | None = None
    message: str = ""

    @property
    def reason(self) -> str:
        """One line for the operator: what was seen, what the platform said, what to do."""
        seen = "log-in got no answer" if self.status is None else f"log-in was answered {self.status}"
        said = f' ("{self.message}")' if self.message else ""
        return f"{seen}{said}: {self.advice}"


class TokenSource:
    """The gateway's token, cached and renewed. `start` must be called inside the loop it will live on."""

    def __init__(
        self,
        door: HttpDoor,
        *,
        name: str,
        client_id: str,
        client_secret: str,
        scope: str,
        is_basic: bool,
        wall: Callable[[], UnixMs],
    ) -> None:
        self._door = door
        self._name = name
        self._scope = scope
        self._secret = _secret_forms(client_id, client_secret)
        self._headers, self._body = _login_request(client_id, client_secret, scope, is_basic=is_basic)
        self._wall = wall
        self._cache = TokenCache()
        self._login: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.problem: LoginProblem | None = None
        self.logins = 0

    def start(self) -> None:
        """Begin the first log-in; does not wait for it."""
        self._log_in_if_due()

    async def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._login is not None:
            self._login.cancel()
            await asyncio.wait({self._login})

    async def bearer(self, *, deadline_ms: Ms) -> Token | LoginProblem:
        """A token that has not expired, else why there is none by `deadline_ms`."""
        token = self._cache.usable(self._now())
        if token is None:
            self._log_in_if_due()
            await self._login_over(deadline_ms)
            token = self._cache.usable(self._now())
        return token or self.problem or LoginProblem("the log-in takes longer than the indicator can wait")

    async def renewed(self, rejected: Token, *, deadline_ms: Ms) -> bool:
        """True if there is now a newer token than the one the platform just answered 401 to."""
        match self._cache.rejected(rejected, self._now()):
            case Remedy.USE_NEWER:
                return True
            case Remedy.GIVE_UP:
                return False
            case Remedy.RENEW:
                logger.info("token rejected, logging in", extra={"fields": {"gateway": self._name}})
                self._log_in_if_due()
                await self._login_over(deadline_ms)
                return self._cache.usable(self._now()) is not None

    def has_given_up(self, token: Token) -> bool:
        """True while a 401 on a call made with `token` would not be cured by a log-in."""
        return self._cache.has_given_up(token, self._now())

    def accepted(self, token: Token) -> None:
        """The platform took an indicator sent with `token`."""
        self._cache.proven(token)

    def age_s(self, token: Token) -> float:
        """Seconds since `token` was asked for: what may be logged of it."""
        return (self._now() - token.fetched_at) / 1000

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000

    async def _login_over(self, deadline_ms: Ms) -> None:
        if self._login is not None:
            await asyncio.wait({self._login}, timeout=max(0.0, (deadline_ms - self._now()) / 1000))

    def _log_in_if_due(self) -> None:
        if self._is_closed or not self._cache.may_ask(self._now()):
            return
        self._cache.asked()
        self.logins += 1
        self._login = asyncio.create_task(self._log_in(), name=f"gateway {self._name}: log-in")

    async def _log_in(self) -> None:
        asked_at = self._now()
        answer = await self._door.call(
            "POST",
            "/oauth/token",
            headers=self._headers,
            body=self._body,
            deadline_ms=asked_at + LOGIN_TIMEOUT_MS,
        )
        self._settle(answer, asked_at)
        self._arm()

    def _arm(self) -> None:
        """One timer: a log-in that it did not start would else leave it running beside the next."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._cache.next_at() / 1000, self._log_in_if_due)

    def _settle(self, answer: Answer | Lost, asked_at: Ms) -> None:
        secret = None if isinstance(answer, Lost) else _token_in(answer)
        if secret is not None and isinstance(answer, Answer):
            self._cache.granted(secret, life_ms=life_of(answer.body.get("expires_in")), asked_at=asked_at)
            self.problem = None
            return
        self.problem = _problem_of(answer, self._scope, secret=self._secret)
        if isinstance(answer, Answer) and answer.status < 500 and answer.status not in {408, 429}:
            self._cache.refused(self._now())
        else:
            wait_ms = wait_asked(answer, self._wall()) if isinstance(answer, Answer) else None
            self._cache.failed(self._now(), wait_ms=wait_ms)
        logger.warning("%s", self.problem.reason, extra={"fields": {"gateway": self._name}})


def _login_request(
    client_id: str, client_secret: str, scope: str, *, is_basic: bool
) -> tuple[dict[str, str], bytes]:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    form = {"grant_type": "client_credentials"}
    if is_basic:
        headers["authorization"] = f"Basic {_basic(client_id, client_secret)}"
    else:
        form |= {"client_id": client_id, "client_secret": client_secret}
    if scope:
        form["scope"] = scope
    return headers, urlencode(form).encode()


def _basic(client_id: str, client_secret: str) -> str:
    # RFC 6749 section 2.3.1: form-encoded first, so that a colon in the id cannot end it.
    return b64encode(f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()).decode()


def _secret_forms(client_id: str, client_secret: str) -> re.Pattern[str] | None:
    """Matches the secret as it is and as either request carries it; None if there is nothing to keep."""
    if not client_secret:
        return None
    forms = {client_secret, quote_plus(client_secret), _basic(client_id, client_secret)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)  # %2b is as good as %2B


def _token_in(answer: Answer) -> str | None:
    token = answer.body.get("access_token") if answer.is_success else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


def _problem_of(answer: Answer | Lost, scope: str, *, secret: re.Pattern[str] | None) -> LoginProblem:
    if isinstance(answer, Lost):
        return LoginProblem(f"{answer.kind.value} failure; check base_url and the way to it")
    return LoginProblem(_login_advice(answer, scope), answer.status, _error_text(answer, secret))


def _error_text(answer: Answer, secret: re.Pattern[str] | None) -> str:
    """Log-in errors have their own shape (RFC 6749 section 5.2), and this platform family a second spelling.

    Some servers echo what they got. The secret is struck out before `Answer.message` cuts, which may leave a part.
    """
    for name in ("message", "error_description", "description", "error"):
        text = answer.body.get(name)
        if isinstance(text, str) and text:
            struck = secret.sub("…", text) if secret else text
            return Answer(answer.status, body={"message": struck}).message
    return ""


ADVICE_OF_ERROR = {
    "invalid_scope": "grant the scope {scope} to the OAuth client",
    "unauthorized_client": "allow the client credentials grant for the OAuth client",
    "unsupported_grant_type": "allow the client credentials grant for the OAuth client",
}
ADVICE_OF_STATUS = {
    200: "the answer holds no usable access_token; check base_url",
    400: "check client id and secret",
    401: "check client id and secret",
    403: "grant the scope {scope} to the OAuth client",
    404: "check base_url: it has no /oauth/token",
    429: "the platform asks to wait; nothing needs doing unless it lasts",
}
ADVICE_OF_CLASS = {
    2: ADVICE_OF_STATUS[200],
    3: "set base_url to its final address: redirects are not followed with credentials",
    4: "check base_url and the OAuth client's settings",
}


def _login_advice(answer: Answer, scope: str) -> str:
    error, status = answer.body.get("error"), answer.status
    advice = ADVICE_OF_ERROR.get(error) if isinstance(error, str) else None
    advice = advice or ADVICE_OF_STATUS.get(status) or ADVICE_OF_CLASS.get(status // 100)
    return (advice or "the platform's log-in fails; it is tried again by itself").format(scope=scope)
