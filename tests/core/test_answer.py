import pytest

from relay.core.answer import Answer, outcome_of
from relay.core.outcome import CoolOff, Failure, Outcome, Refused, Shown, Unauthorised, Unreachable

WALL = 784_111_770_000  # seven seconds before the date below (RFC 9110's example)
HTTP_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
ADVICE = {403: "grant the scope"}


def outcome(
    status: int, *, headers: dict[str, str] | None = None, body: dict[str, object] | None = None
) -> Outcome:
    return outcome_of(Answer(status, headers or {}, body or {}, 12.0), WALL, advice=ADVICE)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_shown(status: int) -> None:
    assert outcome(status) == Shown(status, 12.0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_is_taken_from_seconds_or_a_date(status: int) -> None:
    assert outcome(status, headers={"retry-after": "2.5"}) == CoolOff(status, 2500)
    assert outcome(status, headers={"retry-after": HTTP_DATE}) == CoolOff(status, 7000)


def test_a_429_without_a_readable_wait_is_still_a_cool_off() -> None:
    assert outcome(429) == outcome(429, headers={"retry-after": "soon"}) == CoolOff(429, None)


@pytest.mark.parametrize("headers", [{}, {"retry-after": "soon"}])
def test_a_503_without_a_readable_wait_is_unreachable(headers: dict[str, str]) -> None:
    assert outcome(503, headers=headers) == Unreachable(Failure.SERVER, 503)


@pytest.mark.parametrize("namespace", ["conversation", "session", "Conversation", "messaging.session"])
def test_a_limit_of_a_session_in_the_body_makes_only_that_session_wait(namespace: str) -> None:
    found = outcome(429, body={"limit": {"key": "typing.rate", "namespace": namespace, "value": 12}})
    assert isinstance(found, CoolOff)
    assert found.for_session


def test_a_limit_of_a_session_in_a_header_makes_only_that_session_wait() -> None:
    found = outcome(429, headers={"ratelimit-policy": '"per-session";q=12;w=60'})
    assert isinstance(found, CoolOff)
    assert found.for_session


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"limit": "session"},
        {"limit": {"namespace": "platform.api"}},
        {"message": "your session is limited"},
        {"limit": {"key": "org.app.user.rate.per.minute", "namespace": "conversation"}},
        {"limit": {"key": "client.credentials.token.rate.per.minute", "namespace": "conversation"}},
    ],
)
def test_any_other_limit_makes_everybody_wait(body: dict[str, object]) -> None:
    found = outcome(429, body=body)
    assert isinstance(found, CoolOff)
    assert not found.for_session


def test_a_401_is_unauthorised() -> None:
    assert outcome(401, body={"message": "no"}) == Unauthorised(401, "no", "")


@pytest.mark.parametrize(
    "status", [300, 301, 302, 307, 308, 400, 402, 403, 404, 405, 409, 410, 413, 415, 418, 422, 451]
)
def test_any_other_4xx_and_any_redirect_is_refused(status: int) -> None:
    assert isinstance(outcome(status), Refused)


def test_a_refusal_carries_the_platforms_word_and_our_advice() -> None:
    body: dict[str, object] = {"message": "missing permission", "code": "missing.any.permissions"}
    assert outcome(403, body=body) == Refused(
        403, "missing.any.permissions", "missing permission", "grant the scope"
    )


def test_a_refusal_without_a_code_says_its_status_in_words() -> None:
    assert outcome(404) == Refused(404, "not_found")
    assert outcome(499) == Refused(499, "status_499")


@pytest.mark.parametrize(
    ("status", "is_unknown"), [(500, False), (501, False), (502, True), (504, True), (599, False)]
)
def test_a_5xx_is_unreachable_and_unknown_where_a_middlebox_spoke(status: int, *, is_unknown: bool) -> None:
    assert outcome(status) == Unreachable(Failure.SERVER, status, is_unknown=is_unknown)


def test_a_request_that_timed_out_on_the_way_in_does_not_condemn_the_session() -> None:
    assert outcome(408) == Unreachable(Failure.TIMEOUT, 408)


def test_the_platforms_message_is_one_printable_line_of_bounded_length() -> None:
    told = Answer(400, body={"message": "\x1b[31mred\r\nalert\u202e" + "x" * 10_000}).message
    assert told.isprintable()
    assert len(told) <= 300


@pytest.mark.parametrize("message", [None, 7, ["a"], {"a": 1}])
def test_a_message_that_is_no_text_is_empty(message: object) -> None:
    assert Answer(400, body={"message": message}).message == ""
