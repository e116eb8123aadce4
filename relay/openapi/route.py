"""What a listener says of one of its routes. A shape is a type pydantic knows, or a JSON Schema where there is none."""

from dataclasses import dataclass
from typing import Any, Literal

JSON = "application/json"

Shape = Any  # a type or an annotation: Event, list[Event], Annotated[…]
Place = Literal["path", "query", "header"]


@dataclass(frozen=True, slots=True)
class Body:
    """One form a body may have. `example` is JSON-ready, or the text itself where the form is no JSON."""

    shape: Shape
    media: str = JSON
    example: Any = None


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: Place
    words: str
    shape: Shape = str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One status a route can answer with; without bodies, it has none."""

    status: int
    words: str
    bodies: tuple[Body, ...] = ()
    headers: tuple[str, ...] = ()
    """Names out of `document.HEADERS`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method under one path. `proofs` are names of security schemes, any of which will do; none: it is open."""

    method: Literal["get", "post"]
    path: str
    name: str
    title: str
    words: str
    answers: tuple[Answer, ...]
    bodies: tuple[Body, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    proofs: tuple[str, ...] = ()
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """One event type a tracker is told: `data` of `{type, timestamp, data}`."""

    type: str
    words: str
    data: Shape
    example: Any
