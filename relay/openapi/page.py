"""The document as one page: nothing is fetched from anywhere, and nothing runs or is styled but what stands in it.

document ─► sections (routes, webhooks) ─┐
guides   ─► sections                     ├─► one HTML text, its ETag, and a policy with the hash of each inline part
assets: page.css, page.js ───────────────┘
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from relay import wire
from relay.openapi import curl, shown

_NEEDED = ' <span class="needed">needed</span>'

Document = Mapping[str, Any]  # Any: JSON
Tree = dict[str, Any]

_ASSETS = files("relay.openapi") / "assets"


@dataclass(frozen=True, slots=True)
class Guide:
    """A program to start from, shown on the page as it stands in its file."""

    title: str
    words: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """Bytes that never change while the process lives, and the headers that go with them."""

    body: bytes
    headers: Mapping[str, str]


def fixed(body: bytes, media: str, *, policy: str = "default-src 'none'; frame-ancestors 'none'") -> Page:
    """What is sent as it is: a browser asks again and is told by its ETag that nothing changed."""
    return Page(
        body,
        {
            "Content-Type": media,
            "ETag": f'"{sha256(body).hexdigest()[:32]}"',
            "Cache-Control": "no-cache",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def page(document: Document, guides: Sequence[Guide] = (), *, origin: str = curl.ORIGIN) -> Page:
    """`origin` stands in the samples as they are sent; the script puts the one that a browser knows in its place."""
    style, script = ((_ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"style-src {_hash(style)}; script-src {_hash(script)}"
    )
    groups = list(_groups(document, origin))
    html = _html(document, groups, guides, style=style, script=script)
    return fixed(html.encode(), "text/html; charset=utf-8", policy=policy)


def _hash(text: str) -> str:
    """A source of CSP level 3: this inline text and no other."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _html(
    document: Document, groups: "Sequence[_Group]", guides: Sequence[Guide], *, style: str, script: str
) -> str:
    info, title = document["info"], escape(document["info"]["title"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">To the routes</a>
<div class="frame">
<nav aria-label="Contents"><details open><summary>Contents</summary>
{"".join(_menu(group) for group in groups)}{_guide_menu(guides)}</details></nav>
<main id="main">
<div class="top"><h1>{title}</h1><button type="button" id="theme" hidden></button></div>
<p class="summary">{escape(info["summary"])}</p>
<p>{_inline(info["description"])}</p>
<p class="faint">Version {escape(info["version"])} · OpenAPI {escape(document["openapi"])}: <a href="openapi.json">openapi.json</a></p>
{"".join(_section(group) for group in groups)}{_guide_section(guides)}
</main>
</div>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One article and its line in the menu."""

    anchor: str
    verb: str
    name: str
    body: str


@dataclass(frozen=True, slots=True)
class _Group:
    title: str
    words: str
    entries: list[_Entry]


def _groups(document: Document, origin: str) -> Iterator[_Group]:
    components = document["components"]["schemas"]
    for tag in document.get("tags", ()):
        routes = [
            _route(method.upper(), path, operation, document, origin=origin)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation.get("tags", ())
        ]
        yield _Group(tag["name"].capitalize(), tag["description"], routes)
    hooks = [_hook(name, one["post"], components) for name, one in document.get("webhooks", {}).items()]
    if hooks:
        yield _Group(
            "Webhooks",
            "What your trackers are told: signed, at least once, in order within a session.",
            hooks,
        )


def _route(verb: str, path: str, operation: Tree, document: Document, *, origin: str) -> _Entry:
    components = document["components"]["schemas"]
    parts = [
        f"<p><strong>{escape(operation['summary'])}.</strong> {_inline(operation.get('description', ''))}</p>",
        _proofs(operation, document),
        _parameters(operation, components),
        _bodies(operation, components),
        *(
            _sample(what, text, origin=origin)
            for what, text in curl.lines(verb, path, operation, origin=origin)
        ),
        _answers(operation, components),
    ]
    return _Entry(operation["operationId"], verb, path, "".join(parts))


def _hook(name: str, operation: Tree, components: Tree) -> _Entry:
    form = operation["requestBody"]["content"]["application/json"]
    example = wire.dumps_pretty(form["examples"]["usual"]["value"]).decode().rstrip()
    parts = [
        f"<p>{_inline(operation.get('description', ''))}</p>",
        _table(f"data of {name}", shown.rows(form["schema"]["properties"]["data"], components)),
        _sample(f"an event {name}", example),
    ]
    return _Entry(f"hook-{name}", "", name, "".join(parts))


def _proofs(operation: Tree, document: Document) -> str:
    schemes = document["components"].get("securitySchemes", {})
    names = [name for proof in operation.get("security", ()) for name in proof]
    told = " Or: ".join(_inline(schemes[name]["description"]) for name in names)
    return f'<p class="proof">Who may: {told}</p>' if told else ""


def _parameters(operation: Tree, components: Tree) -> str:
    told = [
        shown.Row(f"{one['name']} ({one['in']})", shown.kind(one["schema"], components), one["required"], one["description"])
        for one in operation.get("parameters", ())
    ]  # fmt: skip
    return _table("Parameters", told)


def _bodies(operation: Tree, components: Tree) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "".join(
        _table(f"Body, {media}", shown.rows(form["schema"], components)) for media, form in content.items()
    )


def _table(caption: str, rows: Iterable[shown.Row]) -> str:
    lines = [
        f"<tr><td><code>{escape(row.name)}</code>{_NEEDED if row.is_required else ''}</td>"
        f"<td>{escape(row.kind)}</td><td>{_inline(row.words)}</td></tr>"
        for row in rows
    ]
    head = "<tr><th scope=col>Field</th><th scope=col>Value</th><th scope=col>Meaning</th></tr>"
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="fields">'
        f"<caption>{escape(caption)}</caption>{head}{''.join(lines)}</table></div>"
        if lines
        else ""
    )


def _answers(operation: Tree, components: Tree) -> str:
    lines = [
        f"<tr><td><strong>{status}</strong></td><td>{_inline(answer['description'])}{_answer_body(answer, components)}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    return (
        "<details><summary>Answers: " + escape(", ".join(operation["responses"])) + "</summary><table>"
        "<tr><th scope=col>Status</th><th scope=col>Means</th></tr>" + "".join(lines) + "</table></details>"
    )  # fmt: skip


def _answer_body(answer: Tree, components: Tree) -> str:
    """The fields of an answer that is no problem document, in one line."""
    told = [
        f"{row.name}: {row.kind}"
        for media, form in answer.get("content", {}).items()
        if "problem" not in media
        for row in shown.rows(form["schema"], components)
    ]
    return f"<br><code>{escape('; '.join(told))}</code>" if told else ""


def _sample(what: str, text: str, *, origin: str = "") -> str:
    place = f' data-origin="{escape(origin)}"' if origin else ""
    return f'<div class="sample" data-what="{escape(what)}"><pre tabindex="0"><code{place}>{escape(text)}</code></pre></div>'


def _section(group: _Group) -> str:
    return f"<h2>{escape(group.title)}</h2><p>{_inline(group.words)}</p>" + "".join(
        map(_article, group.entries)
    )


def _article(entry: _Entry) -> str:
    verb = f'<span class="verb {entry.verb.lower()}">{entry.verb}</span> ' if entry.verb else ""
    return f'<article id="{escape(entry.anchor)}"><h3>{verb}{escape(entry.name)}</h3>{entry.body}</article>'


def _menu(group: _Group) -> str:
    lines = [
        f'<li><a href="#{escape(one.anchor)}">'
        + (f'<span class="verb {one.verb.lower()}">{one.verb}</span>' if one.verb else "")
        + f"{escape(one.name)}</a></li>"
        for one in group.entries
    ]
    return f"<h2>{escape(group.title)}</h2><ul>{''.join(lines)}</ul>"


def _guide_menu(guides: Sequence[Guide]) -> str:
    lines = [
        f'<li><a href="#guide-{number}">{escape(one.title)}</a></li>' for number, one in enumerate(guides)
    ]
    return f"<h2>Programs</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _guide_section(guides: Sequence[Guide]) -> str:
    told = [
        f'<article id="guide-{number}"><h3>{escape(one.title)}</h3><p>{_inline(one.words)}</p>'
        f"{_sample(one.title, one.text)}</article>"
        for number, one in enumerate(guides)
    ]
    return f"<h2>Programs to start from</h2>{''.join(told)}" if told else ""


def _inline(text: str) -> str:
    """Escaped, with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
