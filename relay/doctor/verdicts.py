"""What a platform's answer means for whoever has to mend it; values in, findings out.

nobody's question   ─► is this the platform at all?      401 is the right answer
the clock it shows  ─► ours against it
a question of ours  ─► 401, 403: the identity is refused; about the session instead: it is not
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from relay.core.answer import Answer
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import Failure
from relay.doctor.finding import Finding, Level, fail, ok, warn
from relay.gateway.http import Lost

SKEW_WARN_MS: Ms = 5_000.0
"""A Retry-After written as a date is wrong by as much: a wait too short is a second 429."""

SKEW_FAIL_MS: Ms = 300_000.0
"""Receivers refuse a callback whose timestamp is further off (Standard Webhooks, its libraries' tolerance)."""

ABOUT_THE_SESSION = frozenset({400, 404, 409, 410, 422})
"""Answers that say nothing against the caller."""

LOST: Mapping[Failure, str] = {
    Failure.DNS: "the name is not known to this machine's resolver: check region, base_url, login_url and DNS",
    Failure.CONNECT: "nothing accepts connections there: check the URL, the firewall and the way out",
    Failure.TLS: "its certificate is not trusted here: check the URL, the system's authorities and the clock",
    Failure.TIMEOUT: "no answer in time: check the firewall and the way out",
    Failure.RESET: "the connection was cut: check what stands between here and the platform",
}
NOT_THE_PLATFORM = "this is not the platform's API: check region, base_url and what stands before it"


def reached(about: str, answer: Answer | Lost) -> Finding:
    """Of a question asked without a token, which a platform of either kind answers with 401."""
    if isinstance(answer, Lost):
        return _lost(about, answer)
    match answer.status:
        case 401:
            return ok(about, f"it answers, and asks who calls ({answer.latency_ms:.0f} ms)")
        case status if status == 429 or status >= 500:
            return _later(about, answer)
        case status:
            fix = (
                "set base_url to its final address: redirects are not followed" if 300 <= status < 400 else ""
            )
            return fail(about, f"it answered {status} where 401 was expected", fix or NOT_THE_PLATFORM)


def clock(about: str, date: str | None, *, asked_at: UnixMs, answered_at: UnixMs) -> Finding:
    """Ours, read before and after a question, against the `Date` of its answer, which tells whole seconds."""
    try:
        theirs = int(parsedate_to_datetime(date or "").timestamp() * 1000)
    except ValueError:
        return warn(about, "the platform tells no time", "compare this machine's clock with another (NTP)")
    ahead_ms = max(0, asked_at - (theirs + 1000)) - max(0, theirs - answered_at)
    seen = f"{abs(ahead_ms) / 1000:.0f} s {'ahead of' if ahead_ms > 0 else 'behind'} the platform's"
    fix = (
        "set this machine's clock (NTP): callbacks are signed with its time, and receivers allow five minutes"
    )
    if abs(ahead_ms) > SKEW_FAIL_MS:
        return fail(about, seen, fix)
    return warn(about, seen, fix) if abs(ahead_ms) > SKEW_WARN_MS else ok(about, "agrees with the platform's")


def permitted(
    about: str,
    answer: Answer | Lost,
    *,
    advice: Mapping[int, str],
    secret: str,
    is_vital: bool = True,
) -> Finding:
    """Of a question about a session nobody is in. `secret` is struck out of the platform's words.

    `is_vital`: without this permission nothing works.
    """
    if isinstance(answer, Lost):
        return _lost(about, answer)
    seen, status = f"answered {answer.status}{_said(answer, secret)}", answer.status
    if status in {401, 403}:
        level = Level.FAIL if is_vital or status == 401 else Level.WARN
        return Finding(level, about, seen, advice[status])
    if status == 429 or status >= 500:
        return _later(about, answer)
    if answer.is_success or (status in ABOUT_THE_SESSION and answer.body):
        return ok(about, f"not refused ({status} about a session nobody is in)")
    return fail(about, seen, NOT_THE_PLATFORM)


def budget(about: str, headers: Mapping[str, str], *, rate_per_minute: int) -> Finding | None:
    """Whether the platform allows as much as is configured; None where it does not say."""
    allowed = headers.get("inin-ratelimit-allowed", "")
    if not (allowed.isascii() and allowed.isdigit()):
        return None
    if int(allowed) < rate_per_minute:
        seen = f"the platform allows {int(allowed)} a minute, rate_per_minute is {rate_per_minute}"
        return warn(about, seen, f"set rate_per_minute = {int(allowed)}, or have the limit raised")
    return ok(about, f"rate_per_minute = {rate_per_minute} is within the platform's {int(allowed)}")


def switched_on(about: str, answer: Answer | Lost) -> Finding:
    """Whether the guest's client shows an agent typing, by its deployment's public configuration."""
    if isinstance(answer, Lost):
        return _lost(about, answer)
    switch: object = answer.body if answer.is_success else None
    for name in ("messenger", "apps", "conversations"):
        switch = switch.get(name) if isinstance(switch, Mapping) else None
    if not isinstance(switch, Mapping):
        return warn(
            about,
            f"answered {answer.status}, without a Messenger's configuration",
            "check the deployment's id and region",
        )
    if switch.get("showAgentTypingIndicator") is True:
        return ok(about, "agents' typing is shown (showAgentTypingIndicator)")
    fix = "switch the typing indicator on in the Messenger configuration, and publish it to the deployment"
    return fail(about, "agents' typing is not shown (showAgentTypingIndicator is off or missing)", fix)


def _lost(about: str, lost: Lost) -> Finding:
    return fail(about, f"no answer ({lost.kind.value} failure)", LOST.get(lost.kind, NOT_THE_PLATFORM))


def _later(about: str, answer: Answer) -> Finding:
    """It cannot be told now."""
    if answer.status == 429:
        wait = answer.headers.get("retry-after", "")
        asked = f", Retry-After {wait[:40]}" if wait.isprintable() and wait else ""
        return warn(about, f"answered 429{asked}", "its limit is used up for now: ask again later")
    fix = "the platform is in trouble, look at its status page; ask again later"
    return warn(about, f"answered {answer.status}", fix)


def _said(answer: Answer, secret: str) -> str:
    message = answer.body.get("message")
    if not isinstance(message, str):
        return ""
    struck = message.replace(secret, "…") if secret else message
    line = Answer(answer.status, body={"message": struck}).message
    return f' ("{line}")' if line else ""
