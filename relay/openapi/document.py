"""The document (OpenAPI 3.1): routes and outgoing webhooks as values in, one JSON-ready value out.

Every shape that is a model stands once under `components`, by its class's name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from relay import __version__
from relay.openapi.route import JSON, Answer, Body, Hook, Parameter, Route, Shape

Tree = dict[str, Any]  # Any: JSON

PROBLEM_JSON = "application/problem+json"

HEADERS: Mapping[str, Tree] = {
    "Retry-After": {
        "description": "Whole seconds after which the same request may succeed.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {"description": "The methods that are served.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "Always `Bearer`.", "schema": {"const": "Bearer"}},
    "ETag": {"description": "Of this very answer.", "schema": {"type": "string"}},
}

PROOFS: Mapping[str, Tree] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "trk_<id>_<secret>",
        "description": "An API key: `typing-relay keys new SOURCE` makes one.",
    },
    "ticket": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ticket",
        "description": "What `POST /v1/tickets` answered, from a page among the source's `origins`; good for one actor "
        "in one session, for ten minutes at most.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "A signed request (Standard Webhooks): `webhook-id`, `webhook-timestamp` and `webhook-signature` "
        "over the raw body, and `X-Relay-Source`, whose secrets are tried.",
    },
    "platform": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "The platform's own signature; its header depends on the source's adapter: "
        "`X-Hub-Signature-256`, `X-Chatwoot-Signature`, or Standard Webhooks.",
    },
}

_IN_BRACES = re.compile(r"{([a-z]+)}")


@dataclass(frozen=True, slots=True)
class Told:
    """What a document says of itself."""

    title: str
    summary: str
    description: str


def document(
    told: Told, routes: Sequence[Route], hooks: Sequence[Hook] = (), *, tags: Mapping[str, str] | None = None
) -> Tree:
    """The whole document; `tags` are the groups of its routes, in their order, and what each is about."""
    schemas, components = _schemas(_shapes(routes, hooks))
    writing = _Writing(schemas)
    paths: Tree = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = writing.operation(route)
    proofs = {name for route in routes for name in route.proofs}
    parts: Tree = {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": told.title,
            "version": __version__,
            "summary": told.summary,
            "description": told.description,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": words} for name, words in (tags or {}).items()],
        "paths": paths,
        "webhooks": {hook.type: {"post": writing.webhook(hook)} for hook in hooks},
        "components": {
            "schemas": components,
            "securitySchemes": {name: scheme for name, scheme in PROOFS.items() if name in proofs},
        },
    }
    return {name: part for name, part in parts.items() if part}


def _shapes(routes: Iterable[Route], hooks: Iterable[Hook]) -> list[Shape]:
    shapes: list[Shape] = []
    for route in routes:
        shapes += [parameter.shape for parameter in route.parameters]
        shapes += [body.shape for body in route.bodies]
        shapes += [body.shape for answer in route.answers for body in answer.bodies]
    return shapes + [hook.data for hook in hooks]


def _schemas(shapes: Iterable[Shape]) -> tuple[dict[int, Tree], Tree]:
    """(the schema of each shape by its identity, components)."""
    kinds = {id(shape): shape for shape in shapes if not isinstance(shape, dict)}
    adapters: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (str(key), "validation", TypeAdapter(kind)) for key, kind in kinds.items()
    ]
    found, defined = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    schemas: dict[int, Tree] = {int(key): schema for (key, _), schema in found.items()}
    return schemas, dict(sorted(defined.get("$defs", {}).items()))


class _Writing:
    """Routes as OpenAPI objects, with each shape's schema at hand."""

    def __init__(self, schemas: Mapping[int, Tree]) -> None:
        self._schemas = schemas

    def operation(self, route: Route) -> Tree:
        parts: Tree = {
            "operationId": route.name,
            "summary": route.title,
            "description": route.words,
            "tags": [route.tag] if route.tag else [],
            "parameters": [self._parameter(one) for one in _with_path(route)],
            "requestBody": {"required": True, "content": self._content(route.bodies)}
            if route.bodies
            else None,
            "responses": {str(answer.status): self._answer(answer) for answer in _sorted(route.answers)},
            "security": [{name: []} for name in route.proofs],
        }
        return {name: part for name, part in parts.items() if part or name == "security"}

    def webhook(self, hook: Hook) -> Tree:
        return {
            "operationId": hook.type,
            "summary": hook.type,
            "description": hook.words,
            "parameters": [
                _header("webhook-id", "The event's id, the same at every attempt."),
                _header("webhook-timestamp", "Whole seconds since 1970, of this attempt."),
                _header("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of id.timestamp.body, one per live secret."),
            ],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": self._event(hook), "examples": _examples(hook.example)}},
            },
            "responses": {
                "2XX": {"description": "Taken; within 15 s, or it comes again."},
                "410": {"description": "Gone: nothing more is sent until somebody resumes the endpoint."},
                "default": {"description": "Failed: it comes again, with the same id."},
            },
        }  # fmt: skip

    def _event(self, hook: Hook) -> Tree:
        return {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "additionalProperties": False,
            "properties": {
                "type": {"const": hook.type},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": self._schema(hook.data),
            },
        }

    def _answer(self, answer: Answer) -> Tree:
        parts: Tree = {
            "description": answer.words,
            "headers": {name: HEADERS[name] for name in answer.headers},
            "content": self._content(answer.bodies),
        }
        return {name: part for name, part in parts.items() if part}

    def _content(self, bodies: Iterable[Body]) -> Tree:
        content: Tree = {}
        for body in bodies:
            form = {"schema": self._schema(body.shape), "examples": _examples(body.example)}
            content[body.media] = {name: part for name, part in form.items() if part is not None}
        return content

    def _parameter(self, parameter: Parameter) -> Tree:
        return {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.words,
            "required": parameter.is_required or parameter.place == "path",
            "schema": self._schema(parameter.shape),
        }

    def _schema(self, shape: Shape) -> Tree:
        return shape if isinstance(shape, dict) else self._schemas[id(shape)]


def _sorted(answers: Iterable[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda answer: answer.status)


def _with_path(route: Route) -> list[Parameter]:
    """The route's parameters; a name in braces that has none is told to be a text."""
    known = {parameter.name for parameter in route.parameters}
    bare = [name for name in _IN_BRACES.findall(route.path) if name not in known]
    if bare:
        raise ValueError(f"{route.path}: {', '.join(bare)} has no parameter that says what it is")
    return list(route.parameters)


def _header(name: str, words: str) -> Tree:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": words,
        "schema": {"type": "string"},
    }


def _examples(example: Any) -> Tree | None:
    return None if example is None else {"usual": {"value": example}}
