"""The page: complete, escaped, alone in the world, and kept from running anything but its own."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from relay.ingest.api import public_document
from relay.openapi import curl
from relay.openapi.document import Told, document
from relay.openapi.guides import guides
from relay.openapi.page import Guide, page
from tests.openapi.test_document import route

DOCUMENT = public_document()
PAGE = page(DOCUMENT, guides())
TEXT = PAGE.body.decode()


class Reader(HTMLParser):
    """Ids, targets, and whatever would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.fetched: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.targets.append(given["href"])
        self.fetched += [given[name] for name in ("src", "action", "srcset") if name in given]
        self.fetched += [given["href"]] if tag == "link" else []
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


READ = Reader()
READ.feed(TEXT)


def test_every_route_and_every_webhook_has_its_place_and_its_line_in_the_menu() -> None:
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]
    names += [f"hook-{name}" for name in DOCUMENT["webhooks"]]
    assert set(names) <= set(READ.ids)
    assert {f"#{name}" for name in names} <= set(READ.targets)


def test_links_lead_to_what_is_there_and_ids_are_used_once() -> None:
    assert len(READ.ids) == len(set(READ.ids))
    within = {target[1:] for target in READ.targets if target.startswith("#")}
    assert within <= set(READ.ids)
    assert [target for target in READ.targets if not target.startswith("#")] == ["openapi.json"]


def test_nothing_is_fetched_from_anywhere() -> None:
    assert READ.fetched == ["data:,"]
    assert "url(" not in TEXT
    assert "@import" not in TEXT
    assert "default-src 'none'" in PAGE.headers["Content-Security-Policy"]


@pytest.mark.parametrize("tag", ["style", "script"])
def test_only_what_stands_in_the_page_may_run_or_style_it(tag: str) -> None:
    (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", TEXT, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}'" in PAGE.headers["Content-Security-Policy"]
    assert "unsafe" not in PAGE.headers["Content-Security-Policy"]
    assert READ.inline == []


def test_words_are_shown_and_never_run() -> None:
    evil = "<script>alert(1)</script>\"'`<b>`"
    made = document(Told(evil, evil, evil), [route(title=evil, words=evil, tag="t")], tags={"t": evil})
    text = page(made, [Guide(evil, evil, evil)]).body.decode()
    assert text.count("<script>") == 1
    assert "<b>" not in text


def test_the_page_is_the_same_in_every_run() -> None:
    again = page(public_document(), guides())
    assert (again.body, again.headers["ETag"]) == (PAGE.body, PAGE.headers["ETag"])


def test_the_page_is_small() -> None:
    assert len(PAGE.body) < 100_000


@pytest.mark.parametrize("path", list(DOCUMENT["paths"]))
def test_a_curl_line_is_one_command_a_shell_can_read(path: str) -> None:
    for method, operation in DOCUMENT["paths"][path].items():
        for _, command in curl.lines(method.upper(), path, operation):
            done = subprocess.run(["bash", "-nc", command], capture_output=True, timeout=10, check=False)
            assert (done.returncode, done.stderr) == (0, b"")
            assert "{" not in command.split("--data-binary")[0]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("name", ["desk.js", "receiver.js", "page.js"])
def test_a_script_can_be_read_by_node(name: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "relay" / "openapi" / "assets" / name).read_text()
    copy = tmp_path / name.replace(".js", ".mjs")
    copy.write_text(text)
    subprocess.run(["node", "--check", str(copy)], timeout=20, check=True)
