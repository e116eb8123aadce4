"""Logging in: OAuth 2.0 client credentials (RFC 6749 section 4.4), and what a refusal asks the operator to do."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Literal
from urllib.parse import quote_plus, urlencode

from relay.core.answer import Answer, wait_asked
from relay.core.moments import Ms, UnixMs
from relay.core.token import life_of
from relay.gateway.http import HttpDoor, Lost
from relay.gateway.oauth import Granted, LoginProblem

CredentialsForm = Literal["form", "basic", "raw_basic"]
"""In the body, or as HTTP Basic: form-encoded inside (RFC 6749), or as they are."""

LOGIN_TIMEOUT_MS: Ms = 10_000.0
"""A log-in's own deadline; its callers wait no longer than theirs."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
# RFC 6749 appendix A.12 allows spaces too, but no header survives them.


class ClientLogin:
    """The client's own credentials; each call is one request to the token endpoint behind `door`."""

    def __init__(
        self,
        door: HttpDoor,
        *,
        client_id: str,
        client_secret: str,
        scope: str,
        form: CredentialsForm,
        wall: Callable[[], UnixMs],
    ) -> None:
        self._door = door
        self._scope = scope
        self._secret = _secret_forms(client_id, client_secret)
        self._headers, self._body = _login_request(client_id, client_secret, scope, form)
        self._wall = wall

    async def __call__(self) -> Granted | LoginProblem:
        answer = await self._door.call(
            "POST",
            "/oauth/token",
            headers=self._headers,
            body=self._body,
            deadline_ms=asyncio.get_running_loop().time() * 1000 + LOGIN_TIMEOUT_MS,
        )
        return granted(answer) or problem_of(
            answer, self._wall(), key=self._door.key, secret=self._secret, advice=self._advice
        )

    def _advice(self, seen: Answer) -> str:
        return _login_advice(seen, self._scope, self._door.key)


def granted(answer: Answer | Lost) -> Granted | None:
    """The token in an answer (RFC 6749 section 5.1), if it holds a usable one."""
    token = None if isinstance(answer, Lost) or not answer.is_success else answer.body.get("access_token")
    if isinstance(answer, Lost) or not is_token(token):
        return None
    return Granted(str(token), life_of(answer.body.get("expires_in")))


def is_token(token: object) -> bool:
    """True for what can be sent in a header."""
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def problem_of(
    answer: Answer | Lost,
    wall: UnixMs,
    *,
    key: str,
    secret: re.Pattern[str] | None,
    advice: Callable[[Answer], str],
) -> LoginProblem:
    """Why an answer brought no token; what `secret` matches is struck out of the other side's words.

    `key` is the setting that names the other side.
    """
    if isinstance(answer, Lost):
        return LoginProblem(f"{answer.kind.value} failure; check {key} and the way to it")
    is_refusal = answer.status < 500 and answer.status not in {408, 429}
    return LoginProblem(
        advice(answer),
        answer.status,
        _error_text(answer, secret),
        is_refusal=is_refusal,
        wait_ms=wait_asked(answer, wall),
    )


def any_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Matches each of them, as it is and as a form carries it; None if there is nothing to keep."""
    forms = {form for secret in secrets if secret for form in (secret, quote_plus(secret))}
    longest_first = sorted(forms, key=len, reverse=True)
    # %2b is as good as %2B
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if forms else None


def _login_request(
    client_id: str, client_secret: str, scope: str, form: CredentialsForm
) -> tuple[dict[str, str], bytes]:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    fields = {"grant_type": "client_credentials"}
    match form:
        case "form":
            fields |= {"client_id": client_id, "client_secret": client_secret}
        case "basic":  # RFC 6749 section 2.3.1: form-encoded first, so that a colon in the id cannot end it
            headers["authorization"] = f"Basic {_basic(quote_plus(client_id), quote_plus(client_secret))}"
        case "raw_basic":
            headers["authorization"] = f"Basic {_basic(client_id, client_secret)}"
    if scope:
        fields["scope"] = scope
    return headers, urlencode(fields).encode()


def _basic(client_id: str, client_secret: str) -> str:
    return b64encode(f"{client_id}:{client_secret}".encode()).decode()


def _secret_forms(client_id: str, client_secret: str) -> re.Pattern[str] | None:
    """Matches the secret as it is and as any request carries it."""
    if not client_secret:
        return None
    encoded = _basic(quote_plus(client_id), quote_plus(client_secret))
    return any_of((client_secret, _basic(client_id, client_secret), encoded))


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
    "invalid_scope": "{grant}",
    "unauthorized_client": "allow the client credentials grant for the OAuth client",
    "unsupported_grant_type": "allow the client credentials grant for the OAuth client",
}
ADVICE_OF_STATUS = {
    200: "the answer holds no usable access_token; check {key}",
    # a client of another region or organisation is refused in the same words as a wrong secret
    400: "check client id and secret, and that {key} is where the client belongs",
    401: "check client id and secret, and that {key} is where the client belongs",
    403: "{grant}",
    404: "check {key}: there is no /oauth/token",
    429: "the platform asks to wait; nothing needs doing unless it lasts",
}
ADVICE_OF_CLASS = {
    2: ADVICE_OF_STATUS[200],
    3: "check {key}: redirects are not followed with credentials, so the final address is wanted",
    4: "check {key} and the OAuth client's settings",
}


def _login_advice(answer: Answer, scope: str, key: str) -> str:
    error, status = answer.body.get("error"), answer.status
    advice = ADVICE_OF_ERROR.get(error) if isinstance(error, str) else None
    advice = advice or ADVICE_OF_STATUS.get(status) or ADVICE_OF_CLASS.get(status // 100)
    grant = (
        f"grant the scope {scope} to the OAuth client"
        if scope
        else "give the OAuth client a role, or set scope"
    )
    told = advice or "the platform's log-in fails; it is tried again by itself"
    return told.format(grant=grant, key=key)
