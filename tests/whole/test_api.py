"""A relay as it runs, asked whatever its document allows and what it does not: never a 5xx of its own, no status it
did not tell of, no body of another shape.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relay.ingest.api import LINES, public_document
from relay.operate.api import operator_document
from tests.ingest.house import sure

CONFIG = """
[server]
port = 0
[operations]
port = 0
[gateways.guest]
base_url = "http://127.0.0.1:9"
client_id = "c"
client_secret = "s"
[outbox]
path = ":memory:"
[sources.desk]
adapter = "mapping"
mapping = {{sessionId = "sessionId", type = "type", guestId = "guestId"}}
{key}
"""
PUBLIC = schemathesis.openapi.from_dict(public_document())
OPERATIONS = schemathesis.openapi.from_dict(operator_document())
AWAY = {"/v1/broadcasts": {502, 503, 504}, "/readyz": {503}}
"""What is answered where no platform listens: told of in the document, and no fault of the relay's."""
EXAMPLES = int(os.environ.get("RELAY_API_EXAMPLES", "15"))


@schemathesis.serializer(LINES)
def lines(_ctx: object, value: object) -> bytes:
    return (value if isinstance(value, str) else str(value)).encode(errors="replace")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Its two addresses."""
    home: Path = tmp_path_factory.mktemp("api")
    toml = sure("desk").toml
    config = CONFIG.format(key=toml).replace(":memory:", str(home / "relay.db"))
    (home / "relay.toml").write_text(config)
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "serve", "--config", "relay.toml"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), line
        yield dict(part.split("=", 1) for part in line.split()[1:])
    finally:
        process.terminate()
        process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()


def judged(case: Case[Any], url: str) -> None:
    response = case.call(base_url=url, headers={"Authorization": f"Bearer {sure('desk').key}"}, timeout=10)
    checks = [
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
        response_headers_conformance,
    ]
    if response.status_code not in AWAY.get(case.path, ()):
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks)


ASKED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PUBLIC.parametrize()
@ASKED
def test_whatever_is_asked_is_answered_as_the_document_says(case: Case[Any], relay: dict[str, str]) -> None:
    judged(case, relay["public"])


@OPERATIONS.parametrize()
@ASKED
def test_whatever_an_operator_asks_is_answered_as_the_document_says(
    case: Case[Any], relay: dict[str, str]
) -> None:
    judged(case, relay["operations"])
