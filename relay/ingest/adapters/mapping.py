"""Any other JSON webhook, by JMESPath expressions in the settings: one for each field of an event it can fill.

    [sources.desk.mapping]
    events = "updates[]"                                          # without it, the payload is one event
    type = "kind == 'composing' && 'keystroke' || kind == 'sent' && 'message_sent'"
    sessionId = "chat.id"

An expression that finds nothing (null, false) leaves its field out; a `type` that is none of ours says nothing to
us. What was found is then checked like any event. Compiled once, at load; the only door to jmespath (extra
`adapters`). Expressions are the operator's: their length is bounded, and none of them can loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from relay import wire
from relay.core.activity import Kind
from relay.ingest.adapters.payload import Posted, id_of
from relay.ingest.events import EVENT, Event, refuse_junk
from relay.ingest.refusals import BadField, Place, not_json, too_many_events, wire_problems

EVENTS = "events"
FIELDS = frozenset(Event.__annotations__)
REQUIRED = ("sessionId", "type")
LONGEST = 1000
"""Characters of one expression."""

_KINDS = frozenset(kind.value for kind in Kind)
_ID_FIELDS = frozenset({"sessionId", "guestId", "communicationId", "agentUserId", "id", "thinkingId"})

Expression = Any  # jmespath says nothing of its types


@dataclass(frozen=True, slots=True)
class Mapped:
    """Compiled expressions; make it with `compiled`."""

    events: Expression | None
    fields: Mapping[str, Expression]
    max_events: int

    def read(self, body: bytes) -> Posted:
        """What a payload says, each event with the index of its update. Raises Rejected (400, 413, 422), BadField."""
        try:
            payload = wire.loads(body)
        except wire.NotJson as why:
            raise not_json(str(why)) from None
        found = self._parts(payload)
        if len(found) > self.max_events:
            raise too_many_events(self.max_events)
        told = ((place, self._candidate(part, place)) for place, part in self._placed(found))
        return [(place, _event(candidate, place)) for place, candidate in told if candidate is not None]

    def _placed(self, found: list[Any]) -> list[tuple[Place, Any]]:
        """Each part with its index, where there can be more than one."""
        return (
            [((), found[0])]
            if self.events is None
            else [((index,), part) for index, part in enumerate(found)]
        )

    def _parts(self, payload: Any) -> list[Any]:
        if self.events is None:
            return [payload]
        found = _searched(self.events, payload, (EVENTS,))
        if found is None:
            return []
        if not isinstance(found, list):
            raise BadField((EVENTS,), "this expression is to find a list")
        return found

    def _candidate(self, part: Any, place: Place) -> dict[str, Any] | None:
        """The fields found in one part, None where it says nothing to us."""
        kind = _searched(self.fields["type"], part, (*place, "type"))
        if not isinstance(kind, str) or kind not in _KINDS:
            return None
        found = {name: _searched(one, part, (*place, name)) for name, one in self.fields.items()}
        return {
            name: (id_of(value) or value) if name in _ID_FIELDS else value
            for name, value in found.items()
            if value is not None and (value is not False or name == "final")
        }


def compiled(expressions: Mapping[str, str], *, max_events: int) -> Mapped:
    """Raises ValueError, one line for each expression that cannot be used and each that is missing."""
    problems = [f"{name}: is required" for name in REQUIRED if name not in expressions]
    made: dict[str, Expression] = {}
    for name, text in expressions.items():
        try:
            made[name] = _compiled(name, text)
        except ValueError as why:
            problems.append(f"{name}: {why}")
    if problems:
        raise ValueError("\n".join(problems))
    return Mapped(made.pop(EVENTS, None), made, max_events)


def _compiled(name: str, text: str) -> Expression:
    if name != EVENTS and name not in FIELDS:
        raise ValueError(
            f"no field of an event has this name; wanted {EVENTS} or one of {', '.join(sorted(FIELDS))}"
        )
    if len(text) > LONGEST:
        raise ValueError(f"at most {LONGEST} characters are wanted, and {len(text)} are given")
    jmespath = _jmespath()
    try:
        made = jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, RecursionError) as why:
        raise ValueError(f"not a JMESPath expression{_where(why)}") from None
    unknown = sorted(_functions(made.parsed) - jmespath.functions.Functions.FUNCTION_TABLE.keys())
    if unknown:
        raise ValueError(f"JMESPath has no function {', '.join(unknown)}")
    return made


def _functions(node: Any) -> set[str]:
    """Every function a parsed expression calls: the library itself looks for them only when it is used."""
    own = {node["value"]} if node["type"] == "function_expression" else set()
    return own.union(*(_functions(child) for child in node["children"]))


def _where(why: BaseException) -> str:
    """The position, if the library knows one; never the expression."""
    position = getattr(why, "lex_position", None)
    return f": wrong at character {position + 1}" if isinstance(position, int) and position >= 0 else ""


def _jmespath() -> Any:
    try:
        import jmespath  # noqa: PLC0415 - an extra, wanted only where a mapping is configured
        import jmespath.functions  # noqa: PLC0415
    except ImportError:
        raise ValueError("the package jmespath is wanted: pip install jmespath") from None
    return jmespath


def _searched(expression: Expression, part: Any, place: Place) -> Any:
    jmespath = _jmespath()
    try:
        return expression.search(part)
    except (jmespath.exceptions.JMESPathError, ArithmeticError, ValueError, TypeError, RecursionError):
        raise BadField(place, "the expression for this field does not suit what was sent") from None


def _event(candidate: dict[str, Any], place: Place) -> Event:
    try:
        told = wire.dumps(candidate)
    except (
        TypeError
    ):  # `&reference` is a value of JMESPath's and of nobody else's; so are integers past 64 bits
        raise BadField(place, "the expressions made something that is not JSON") from None
    refuse_junk(told)
    try:
        return EVENT.validate_json(told)
    except ValidationError as why:
        raise wire_problems(why, Event, index=int(place[0]) if place else None) from None
