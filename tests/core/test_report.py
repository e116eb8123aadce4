import pytest

from relay.core.outcome import CoolOff, Held, Refused, Shown, Unauthorised
from relay.core.report import said

ADVICE = "lower rate_per_minute"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Rate limit exceeded. Retry in [1] seconds",
            "Rate limit exceeded. Retry in [1] seconds; lower rate_per_minute",
        ),
        ("Too many calls.", "Too many calls; lower rate_per_minute"),
        ("too many calls (contextId 7)", "too many calls (contextId 7); lower rate_per_minute"),
        ("", "lower rate_per_minute"),
    ],
)
def test_our_advice_does_not_run_into_the_platforms_last_sentence(message: str, told: str) -> None:
    """It did: two sentences with a blank between them, and nobody had read them aloud."""
    assert said(CoolOff(429, message=message, advice=ADVICE)) == told


def test_without_advice_the_platforms_words_stay_as_they_are() -> None:
    assert said(Refused(418, "teapot", message="I am a teapot.")) == "I am a teapot."
    assert said(Held(10.0, message="held")) == "held"
    assert said(Unauthorised()) == said(Shown(200, 5.0)) == ""
