"""Names and values after RFC 9110 5.1 and 5.5; what is the connection's after RFC 9110 7.6.1 and RFC 9112 6."""

import pytest

from relay.core.static_headers import header_problems


def problems(name: str, value: str = "x") -> list[str]:
    return list(header_problems({name: value}))


@pytest.mark.parametrize("name", ["Authorization", "x-tenant", "accept", "!#$%&'*+-.^_`|~09azAZ"])
def test_a_token_is_a_name(name: str) -> None:
    assert problems(name) == []


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "(a)", "a\n", "\x00"])
def test_anything_else_is_none(name: str) -> None:
    assert problems(name)


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "Content-Length",
        "HOST",
        "user-agent",
        "traceparent",
        "webhook-id",
        "Webhook-Signature",
        "webhook-anything",
        "transfer-encoding",
        "connection",
        "expect",
        "upgrade",
        "proxy-authorization",
    ],
)
def test_what_the_relay_says_itself_is_not_the_operators(name: str) -> None:
    (problem,) = problems(name)
    assert name.lower() in problem


@pytest.mark.parametrize("value", ["x", "Bearer abc.def", "a\tb", "~!", "a" * 4000])
def test_visible_text_is_a_value(value: str) -> None:
    assert problems("x-tenant", value) == []


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nb: c", "a\nb", "a\x00", "a\x7f", "ä", "\t"])
def test_a_value_cannot_begin_another_header(value: str) -> None:
    assert problems("x-tenant", value)


def test_a_header_is_given_once() -> None:
    (problem,) = header_problems({"x-tenant": "a", "X-Tenant": "b"})
    assert "twice" in problem


def test_all_together_fit_into_a_receivers_head() -> None:
    (problem,) = header_problems({f"x-{n}": "v" * 900 for n in range(5)})
    assert "4096 bytes" in problem


def test_a_value_is_never_repeated() -> None:
    assert "canary" not in " ".join(header_problems({"x y": "canary\n", "host": "canary"}))
