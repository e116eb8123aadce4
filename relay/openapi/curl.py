"""A route as a line for a shell: what somebody copies to try it."""

import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from relay import wire

ORIGIN = "http://127.0.0.1:8080"
"""Stands in for wherever the page was read from, where its listener cannot say: a proxy may stand before it."""

Operation = dict[str, Any]  # Any: JSON


def lines(method: str, path: str, operation: Operation, *, origin: str = ORIGIN) -> Iterator[tuple[str, str]]:
    """(what is tried, the command) for each form of body; one command where there is no body, none for a stream."""
    if "101" in operation["responses"]:
        return  # a WebSocket, which curl does not open
    content = operation.get("requestBody", {}).get("content", {})
    asked = _asked(method, origin + _filled(path, operation), operation, has_body=bool(content))
    for media, form in content.items():
        body = [f"-H {shlex.quote(f'Content-Type: {media}')}", f"--data-binary {shlex.quote(_example(form))}"]
        yield f"{method} {path} as {media}", _joined([*asked, *body])
    if not content:
        yield f"{method} {path}", _joined(asked)


def _asked(method: str, url: str, operation: Operation, *, has_body: bool) -> list[str]:
    verb = " -X POST" if method == "POST" and not has_body else ""
    asked = [f"curl -sS{verb} {shlex.quote(url)}"]
    if any("key" in proof for proof in operation.get("security", ())):
        asked.append('-H "Authorization: Bearer $RELAY_KEY"')
    return asked


def _joined(parts: list[str]) -> str:
    return " \\\n  ".join(parts)


_SAMPLES = {"source": "desk", "name": "tracker", "endpoint": "tracker", "id": "1", "event": "msg_1"}
"""Names an operator would know."""


def _filled(path: str, operation: Operation) -> str:
    """The path with samples in the place of `{…}`, and behind it of what a query has to have."""
    needed = {}
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        sample = _SAMPLES.get(name, name)
        path = path.replace(f"{{{name}}}", sample)
        if parameter["in"] == "query" and parameter["required"]:
            needed[name] = sample
    return f"{path}?{urlencode(needed)}" if needed else path


def _example(form: dict[str, Any]) -> str:
    value = form.get("examples", {}).get("usual", {}).get("value", {})
    return value if isinstance(value, str) else wire.dumps(value).decode()
