"""What each answer is taken for, cell by cell; figures are those of the docstrings and the RFCs they name."""

import pytest

from relay.core.answer import Answer
from relay.core.outcome import Failure
from relay.doctor import verdicts
from relay.doctor.finding import Finding, Level, is_well, ok, warn
from relay.gateway.genesys import ADVICE, LOOK_ADVICE
from relay.gateway.http import Lost

NOON = "Mon, 23 Nov 2026 12:00:00 GMT"
NOON_MS = 1_795_435_200_000
TOKEN = "a-canary-token"


def permitted(answer: Answer | Lost, *, is_vital: bool = True) -> Finding:
    return verdicts.permitted("it", answer, advice=ADVICE, secret=TOKEN, is_vital=is_vital)


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (401, Level.OK),
        (200, Level.FAIL),
        (302, Level.FAIL),
        (403, Level.FAIL),
        (404, Level.FAIL),
        (429, Level.WARN),
        (500, Level.WARN),
        (503, Level.WARN),
    ],
)
def test_only_a_platform_asks_who_calls(status: int, level: Level) -> None:
    assert verdicts.reached("it", Answer(status)).level is level


@pytest.mark.parametrize("kind", [Failure.DNS, Failure.CONNECT, Failure.TLS, Failure.TIMEOUT, Failure.RESET])
def test_no_answer_says_where_it_was_lost_and_what_to_check(kind: Failure) -> None:
    found = verdicts.reached("it", Lost(kind, was_sent=False))
    assert found.level is Level.FAIL
    assert kind.value in found.seen
    assert found.fix == verdicts.LOST[kind]


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, Level.OK),
        (204, Level.OK),
        (400, Level.OK),
        (404, Level.OK),
        (409, Level.OK),
        (410, Level.OK),
        (401, Level.FAIL),
        (403, Level.FAIL),
        (302, Level.FAIL),
        (405, Level.FAIL),
        (413, Level.FAIL),
        (429, Level.WARN),
        (502, Level.WARN),
    ],
)
def test_what_is_said_of_the_session_is_not_said_of_the_caller(status: int, level: Level) -> None:
    body = {} if status < 300 else {"code": "a.code", "message": "words"}
    assert permitted(Answer(status, body=body)).level is level


def test_a_missing_permission_is_named_with_the_platforms_words_and_ours() -> None:
    found = permitted(Answer(403, body={"message": "You are missing conversation:message:create"}))
    assert "conversation:message:create" in found.seen
    assert "set token_source" in found.fix, "a 403 may mean that agents' own tokens are wanted"


def test_what_can_be_done_without_is_a_warning() -> None:
    found = verdicts.permitted("it", Answer(403), advice=LOOK_ADVICE, secret=TOKEN, is_vital=False)
    assert found.level is Level.WARN
    assert "communicationId" in found.fix
    assert permitted(Answer(401), is_vital=False).level is Level.FAIL


def test_a_404_of_some_web_server_is_not_the_platforms() -> None:
    assert permitted(Answer(404)).fix == verdicts.NOT_THE_PLATFORM


def test_a_token_that_is_quoted_back_is_struck_out() -> None:
    found = permitted(Answer(401, body={"message": f"unknown token {TOKEN}\x1b[31m"}))
    assert TOKEN not in found.line
    assert "unknown token …" in found.seen
    assert "\x1b" not in found.line


def test_a_platform_that_asks_to_wait_is_a_warning_with_its_wait() -> None:
    assert "Retry-After 17" in permitted(Answer(429, {"retry-after": "17"})).seen


@pytest.mark.parametrize(
    ("asked_at", "level"),
    [
        (NOON_MS, Level.OK),
        (NOON_MS + 999, Level.OK),  # the header tells whole seconds
        (NOON_MS + 6_000, Level.OK),
        (NOON_MS + 6_001, Level.WARN),
        (NOON_MS - 5_000, Level.OK),
        (NOON_MS - 5_001, Level.WARN),
        (NOON_MS + 301_001, Level.FAIL),
        (NOON_MS - 300_001, Level.FAIL),
    ],
)
def test_a_clock_five_seconds_off_is_doubtful_and_five_minutes_off_is_wrong(
    asked_at: int, level: Level
) -> None:
    assert verdicts.clock("clock", NOON, asked_at=asked_at, answered_at=asked_at).level is level


def test_a_slow_answer_is_no_skew() -> None:
    slow = verdicts.clock("clock", NOON, asked_at=NOON_MS - 20_000, answered_at=NOON_MS)
    assert slow.level is Level.OK


def test_a_clock_says_which_way_it_is_off() -> None:
    ahead = verdicts.clock("clock", NOON, asked_at=NOON_MS + 61_000, answered_at=NOON_MS + 61_000)
    behind = verdicts.clock("clock", NOON, asked_at=NOON_MS - 60_000, answered_at=NOON_MS - 60_000)
    assert (ahead.seen, behind.seen) == ("60 s ahead of the platform's", "60 s behind the platform's")


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_platform_without_a_clock_is_a_warning(date: str | None) -> None:
    assert verdicts.clock("clock", date, asked_at=NOON_MS, answered_at=NOON_MS).level is Level.WARN


def test_a_budget_beyond_the_platforms_is_told_what_to_be() -> None:
    found = verdicts.budget("it", {"inin-ratelimit-allowed": "180"}, rate_per_minute=300)
    assert found is not None
    assert (found.level, found.fix) == (
        Level.WARN,
        "set rate_per_minute = 180, or have the limit raised",
    )
    within = verdicts.budget("it", {"inin-ratelimit-allowed": "300"}, rate_per_minute=300)
    assert within is not None
    assert within.level is Level.OK
    assert verdicts.budget("it", {}, rate_per_minute=300) is None


def config(**switches: object) -> Answer:
    return Answer(200, body={"messenger": {"apps": {"conversations": switches}}})


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (config(showAgentTypingIndicator=True), Level.OK),
        (config(showAgentTypingIndicator=False), Level.FAIL),
        (config(), Level.FAIL),  # missing counts as off in the official client
        (Answer(200, body={"messenger": []}), Level.WARN),
        (Answer(404), Level.WARN),
        (Lost(Failure.DNS, was_sent=False), Level.FAIL),
    ],
)
def test_typing_is_shown_only_where_the_deployment_says_so(answer: Answer | Lost, level: Level) -> None:
    assert verdicts.switched_on("it", answer).level is level


def test_a_warning_is_no_failure() -> None:
    assert is_well([ok("it", "well"), warn("it", "doubtful", "look")])
    assert not is_well([ok("it", "well"), verdicts.reached("it", Answer(404))])
