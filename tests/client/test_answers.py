"""Whatever answers, it becomes one value that says where to look."""

import pytest

from relay.client.answers import Answer, Fault, answer_of, away, unopened
from relay.errors import Rejected, Unavailable

WALL = 1_795_341_600_000
TAKEN = b'{"accepted":3,"duplicates":1,"stale":2}'
REFUSED = b'{"detail":"2 fields are not as wanted","errors":[{"loc":"0.guestId","msg":"an id is wanted"}]}'


def of(status: int, body: bytes = b"", retry_after: str | None = None) -> Answer:
    return answer_of(status, body, retry_after=retry_after, wall=WALL)


def test_a_202_has_three_figures() -> None:
    assert of(202, TAKEN) == Answer(3, 1, 2)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (429, Fault.AWAY), (503, Fault.AWAY), (500, Fault.AWAY), (502, Fault.AWAY), (408, Fault.AWAY),
        (422, Fault.UNUSABLE), (413, Fault.UNUSABLE),
        (400, Fault.REFUSED), (401, Fault.REFUSED), (403, Fault.REFUSED), (404, Fault.REFUSED), (302, Fault.REFUSED),
    ],
)  # fmt: skip
def test_a_status_says_whether_the_same_again_may_be_taken(status: int, fault: Fault) -> None:
    trouble = of(status).trouble
    assert trouble is not None
    assert (trouble.fault, trouble.status) == (fault, status)


@pytest.mark.parametrize(
    ("status", "fault"), [(429, Fault.AWAY), (503, Fault.AWAY), (422, Fault.REFUSED), (413, Fault.REFUSED), (401, Fault.REFUSED), (200, Fault.REFUSED)]
)  # fmt: skip
def test_of_a_stream_that_is_not_opened_no_event_is_to_blame(status: int, fault: Fault) -> None:
    """Escaped because its body was not read: one that names a field would have been asked again without a pause."""
    trouble = unopened(status, REFUSED, retry_after="7", wall=WALL).trouble
    assert trouble is not None
    assert (trouble.fault, trouble.status, trouble.words) == (fault, status, "2 fields are not as wanted")
    assert trouble.retry_after_s == 7


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"accepted":"3"}', b"\xff"])
def test_a_202_of_something_else_is_no_202(body: bytes) -> None:
    assert not of(202, body).is_taken
    assert not of(200, body).is_taken


def test_a_refusal_says_which_field_and_what_is_wanted() -> None:
    trouble = of(422, REFUSED).trouble
    assert trouble is not None
    assert trouble.problems == (("0.guestId", "an id is wanted"),)
    assert trouble.words == "2 fields are not as wanted"


@pytest.mark.parametrize("said", ["a\nforged line", "\x1b[2J", 7, None])
def test_a_strangers_words_cannot_forge_a_line_in_the_log(said: object) -> None:
    import json  # noqa: PLC0415 - the stranger's own way of writing JSON

    trouble = of(503, json.dumps({"detail": said}).encode()).trouble
    assert trouble is not None
    assert trouble.words.startswith("the answer is not a relay's")


def test_the_wait_it_asks_for_is_in_seconds_or_a_date() -> None:
    for text, wait_s in (("3", 3.0), ("Sun, 22 Nov 2026 10:00:07 GMT", 7.0), ("soon", None)):
        trouble = of(503, b"", text).trouble
        assert trouble is not None
        assert trouble.retry_after_s == wait_s


def test_trouble_as_an_error_tells_the_catcher_what_to_do() -> None:
    assert Answer(1).error() is None
    assert isinstance(away("nobody there").error(), Unavailable)
    refused = of(422, REFUSED).error()
    assert isinstance(refused, Rejected)
    assert (refused.status, refused.problems) == (422, (("0.guestId", "an id is wanted"),))
