"""Programs to start from, as the page shows them; each stands in its own file, and the tests run that file."""

from importlib.resources import files

from relay.openapi.page import Guide

_ASSETS = files("relay.openapi") / "assets"


def guides() -> tuple[Guide, ...]:
    return (
        Guide(
            "A browser with a ticket",
            "An agent's desktop says what the agent does. It holds no API key: its back end fetches a ticket, good for "
            "one actor in one session. List the page in the source's `origins`.",
            _text("desk.js"),
        ),
        Guide(
            "A tracker in Python",
            "Believe a callback only when it verifies, and take each `webhook-id` once.",
            _text("receiver.py.txt"),
        ),
        Guide(
            "A tracker in JavaScript",
            "The same for Node.",
            _text("receiver.js"),
        ),
    )


def _text(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8").rstrip()
