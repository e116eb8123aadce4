"""JSON Schema in words: the rows of a table, one for each field, nested ones by their path."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]  # Any: JSON

_DEEPEST = 4
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {}",
}


class Row(NamedTuple):
    """`kind` in words; `words` is what the schema says of the field itself."""

    name: str
    kind: str
    is_required: bool
    words: str


def rows(schema: Schema, components: dict[str, Schema], *, below: str = "", deep: int = 0) -> Iterator[Row]:
    """The fields of an object, or of the objects of a list; nothing for anything else."""
    form = next(_forms(schema, components), None)
    if form is not None:
        yield from _fields(form, components, below, deep)


def _forms(schema: Schema, components: dict[str, Schema]) -> Iterator[Schema]:
    """The objects a schema may stand for, references followed."""
    whole = resolved(schema, components)
    if "properties" in whole:
        yield whole
    for one in whole.get("anyOf", ()):
        yield from _forms(one, components)
    if "items" in whole:
        yield from _forms(whole["items"], components)


def _fields(form: Schema, components: dict[str, Schema], below: str, deep: int) -> Iterator[Row]:
    required = form.get("required", ())
    for name, field in form["properties"].items():
        words = field.get("description", "")
        yield Row(f"{below}{name}", kind(field, components), name in required, words)
        if deep < _DEEPEST:
            yield from rows(field, components, below=f"{below}{name}.", deep=deep + 1)


def resolved(schema: Schema, components: dict[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    return schema if reference is None else components[reference.rpartition("/")[2]]


def kind(schema: Schema, components: dict[str, Schema]) -> str:
    """What a value may be, in a few words: `integer, ≥ 0`, `keystroke | thinking | …`, `text or null`."""
    whole = resolved(schema, components)
    if "anyOf" in whole:
        return " or ".join(kind(one, components) for one in whole["anyOf"])
    if "enum" in whole:
        return " | ".join(str(value) for value in whole["enum"])
    if "const" in whole:
        return str(whole["const"]).lower() if isinstance(whole["const"], bool) else str(whole["const"])
    if whole.get("type") == "array":
        return f"list of {kind(whole.get('items', {}), components)}"
    named = str(whole.get("type", "any JSON"))
    told = _pattern(whole) or {"string": "text"}.get(named, named)
    return ", ".join([told, *_bounds(whole)])


def _bounds(whole: Schema) -> Iterator[str]:
    for name, words in _BOUNDS.items():
        if name in whole:
            yield words.format(whole[name])


def _pattern(whole: Schema) -> str | None:
    """The three patterns everybody meets have names."""
    pattern = str(whole.get("pattern", ""))
    if pattern.endswith("{0,127}$"):
        return "id"
    if pattern.startswith("^[0-9]{4}-"):
        return "RFC 3339 time"
    return "UUID" if pattern.startswith("^[0-9A-Fa-f]{8}-") else None
