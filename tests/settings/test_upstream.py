import pytest
from pydantic import ValidationError

from relay.settings.upstream import Source

SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.mark.parametrize(
    "origin",
    ["https://desk.example", "http://127.0.0.1:3000", "http://localhost", "https://[::1]:8443", "https://a-b.c.example:1"],
)  # fmt: skip
def test_an_origin_is_what_a_browser_sends(origin: str) -> None:
    assert Source(origins=(origin,)).origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "desk.example", "https://", "https://desk.example/", "https://Desk.example", "https://*.example",
     "ftp://desk.example", "https://desk.example:", "https://a@desk.example", "https://desk.example\n", "file://",
     "https://-desk.example", "https://desk.example."],
)  # fmt: skip
def test_an_origin_no_browser_would_send_is_refused_in_words(origin: str) -> None:
    with pytest.raises(ValidationError, match="an origin is what a browser sends"):
        Source(origins=(origin,))


@pytest.mark.parametrize("secret", ["kanarienvogel", "whsec_kanarienvogel", "whsec_AAAA", "whsk_AAAA"])
def test_a_secret_that_cannot_verify_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Source.model_validate({"secrets": [secret]})
    assert "whsec_" in str(caught.value)
    assert "kanarienvogel" not in str(caught.value)


def test_the_newest_secret_has_no_end() -> None:
    with pytest.raises(ValidationError, match="newest"):
        Source.model_validate({"secrets": [{"secret": SECRET, "until": "2026-01-01T00:00:00Z"}, SECRET]})


def test_a_rotation_is_five_secrets_at_most() -> None:
    assert len(Source.model_validate({"secrets": [SECRET] * 5}).secrets) == 5
    with pytest.raises(ValidationError):
        Source.model_validate({"secrets": [SECRET] * 6})


@pytest.mark.parametrize(
    "value",
    [{"requests_per_s": 0}, {"events_per_s": -1}, {"bytes_per_s": 1023}, {"max_sessions": 0}, {"requests_per_s": "nan"}],
)  # fmt: skip
def test_a_rate_is_more_than_nothing(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(value)


def test_secrets_never_print_themselves() -> None:
    assert SECRET not in repr(Source.model_validate({"secrets": [SECRET]}))
