"""The programs on the page, run as they stand there: the receivers believe what we sign and nothing else, and the
desktop opens its stream again until it is closed (in a browser: `whole/test_streams`)."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.core.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Keys

ASSETS = Path(__file__).parents[2] / "relay" / "openapi" / "assets"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = '{"type":"session.typing","note":"\u00e9"}'.encode()
DRIVER = """
import { verified } from "./receiver.mjs";
let input = ""; for await (const part of process.stdin) input += part;
const { headers, body, secrets } = JSON.parse(input);
try { console.log(JSON.stringify(verified(headers, Buffer.from(body, "utf8"), secrets))); }
catch (why) { console.error(why.message); process.exit(3); }
"""

Verified = Callable[[dict[str, str], bytes, list[str]], Any]


def python(_: Path) -> Verified:
    scope: dict[str, Any] = {}
    exec((ASSETS / "receiver.py.txt").read_text(), scope)  # noqa: S102 - our own file, as people copy it
    verified: Verified = scope["verified"]
    return verified


def javascript(tmp_path: Path) -> Verified:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "receiver.mjs").write_text((ASSETS / "receiver.js").read_text())
    (tmp_path / "driver.mjs").write_text(DRIVER)

    def verified(headers: dict[str, str], body: bytes, secrets: list[str]) -> Any:
        told = json.dumps({"headers": headers, "body": body.decode(), "secrets": secrets})
        done = subprocess.run(
            ["node", "driver.mjs"],
            cwd=tmp_path,
            input=told,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if done.returncode == 3:
            raise ValueError(done.stderr)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return verified


LANGUAGES = pytest.mark.parametrize("language", [python, javascript])


def signed(body: bytes = BODY, *, secrets: tuple[str, ...] = (SECRET,), late_s: int = 0) -> dict[str, str]:
    at_s = int(time.time()) - late_s
    signature = Keys(secrets).sign("msg_1", at_s, body)
    return {ID_HEADER: "msg_1", TIMESTAMP_HEADER: str(at_s), SIGNATURE_HEADER: signature}


@LANGUAGES
def test_what_we_sign_is_believed_also_during_a_rotation(
    language: Callable[[Path], Verified], tmp_path: Path
) -> None:
    verified = language(tmp_path)
    assert verified(signed(), BODY, [SECRET])["type"] == "session.typing"
    assert verified(signed(secrets=(OTHER, SECRET)), BODY, [SECRET])["note"] == "\u00e9"
    assert verified(signed(), BODY, [OTHER, SECRET])


@LANGUAGES
def test_what_is_stale_or_changed_or_by_another_is_not_believed(
    language: Callable[[Path], Verified], tmp_path: Path
) -> None:
    verified = language(tmp_path)
    for headers, body, secrets in (
        (signed(late_s=320), BODY, [SECRET]),
        (signed(late_s=-320), BODY, [SECRET]),
        (signed(), BODY + b" ", [SECRET]),
        (signed(), BODY, [OTHER]),
        (signed(), BODY, []),
        (signed() | {TIMESTAMP_HEADER: "soon"}, BODY, [SECRET]),
    ):
        with pytest.raises(ValueError, match=r"clock|nobody"):
            verified(headers, body, secrets)


STRANGERS: dict[str, dict[str, str]] = {
    "no headers": {},
    **{f"no {name}": {key: value for key, value in signed().items() if key != name} for name in signed()},
    "a stamp of 400 digits": signed() | {TIMESTAMP_HEADER: "9" * 400},
    "a stamp of 5000 digits": signed() | {TIMESTAMP_HEADER: "9" * 5000},
    "a signature that is no ASCII": signed() | {SIGNATURE_HEADER: "v1,\u00e9 \u00e9"},
}


@LANGUAGES
@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_whatever_a_stranger_sends_it_is_the_one_refusal_and_no_fault(
    language: Callable[[Path], Verified], headers: dict[str, str], tmp_path: Path
) -> None:
    """A header that was missing was a KeyError, and so the stranger's request a 500."""
    with pytest.raises(ValueError, match=r"clock|nobody"):
        language(tmp_path)(headers, BODY, [SECRET])


DESKTOP = """
import { typingStream } from "./desk.mjs";
const sockets = [], timers = [], asked = [];
globalThis.setTimeout = (run, ms) => timers.push({ run, ms });
globalThis.clearTimeout = () => {}; // a timer may have fired already when it is cleared
globalThis.fetch = (url, { method }) => new Promise((answer, refuse) => asked.push({
  url, method, refuse, answer: (ok = true) => answer({ ok, status: 401, json: async () => ({ ticket: `trt_${asked.length}` }) }),
}));
globalThis.WebSocket = class {
  constructor(url, protocols) { Object.assign(this, { url, protocols, readyState: 0, bufferedAmount: 0, sent: [] }); sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.end(); }
  begin() { this.readyState = 1; this.onopen(); }
  end() { if (this.readyState !== 3) { this.readyState = 3; this.onclose({ code: 1001 }); } }
};
const turn = () => new Promise((done) => setImmediate(done));
const last = (list) => list[list.length - 1];
async function answered(ok) { await turn(); last(asked).answer(ok); await turn(); }
const given = { sessionId: "s", guestId: "g", actor: { id: "agent-7" } };
async function begun() {
  const typing = typingStream("https://relay.example", "/ticket", given);
  await answered();
  sockets[0].begin();
  return typing;
}
"""


def desktop(tmp_path: Path, story: str, told: str) -> Any:
    """What `told` is after the story; sockets, timers and the back end are the story's to move."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "desk.mjs").write_text((ASSETS / "desk.js").read_text())
    (tmp_path / "story.mjs").write_text(f"{DESKTOP}\n{story}\nconsole.log(JSON.stringify({told}));")
    done = subprocess.run(
        ["node", "story.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_desktop_offers_its_ticket_and_says_what_is_done(tmp_path: Path) -> None:
    story = """
      const typing = await begun();
      typing.say("keystroke"); sockets[0].bufferedAmount = 100000; typing.say("paused");
    """
    url, offered, sent = desktop(tmp_path, story, "[sockets[0].url, sockets[0].protocols, sockets[0].sent]")
    assert (url, offered) == ("wss://relay.example/v1/stream", ["typing-relay.v1", "trt_1"])
    assert sent == [{"sessionId": "s", "guestId": "g", "actor": {"id": "agent-7"}, "type": "keystroke"}]


def test_a_desktop_opens_again_with_a_new_ticket_and_waits_ever_longer_where_there_is_none(
    tmp_path: Path,
) -> None:
    story = """
      const typing = await begun();
      sockets[0].end();
      for (let n = 0; n < 9; n++) { last(timers).run(); await answered(false); }
      last(timers).run(); await answered(); sockets[1].begin(); sockets[1].end();
    """
    tickets, waits = desktop(
        tmp_path, story, "[sockets.map((one) => one.protocols[1]), timers.map((one) => one.ms)]"
    )
    assert tickets == ["trt_1", "trt_11"]
    for number, wait in enumerate(waits[:-1]):
        usual = min(250 * 2**number, 30_000)
        assert usual / 2 <= wait <= usual * 3 / 2
    assert waits[-1] <= 375, "it was open meanwhile"


CLOSINGS = {
    "while it is open": "const typing = await begun(); typing.close();",
    "while it waits": "const typing = await begun(); sockets[0].end(); typing.close(); last(timers).run(); await turn();",
    "while it asks for its ticket": """
      const typing = await begun(); sockets[0].end(); last(timers).run(); await turn(); typing.close(); await answered();
    """,
    "while its ticket is refused": """
      const typing = await begun(); sockets[0].end(); last(timers).run(); await turn(); typing.close(); await answered(false);
    """,
}


@pytest.mark.parametrize("story", CLOSINGS.values(), ids=CLOSINGS)
def test_a_desktop_that_is_closed_stays_closed(story: str, tmp_path: Path) -> None:
    more = "for (const one of [...timers]) { one.run(); await turn(); if (asked.length) last(asked).answer(); await turn(); }"
    assert desktop(tmp_path, f"{story}\n{more}", "sockets.map((one) => one.readyState)") == [3]
