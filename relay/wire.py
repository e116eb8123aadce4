"""The only door to orjson: bytes in, plain values out, and back."""

from typing import Any

import orjson

Json = Any  # JSON has no narrower type that a checker and a reader both profit from


class NotJson(ValueError):  # noqa: N818 - names the input, not our failure
    """The bytes are not one JSON text; the message says where, never what."""


def loads(data: bytes | bytearray | memoryview | str) -> Json:
    """The value of one JSON text (RFC 8259; NaN, infinities and lone surrogates are refused).

    Raises NotJson.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as why:
        raise NotJson(f"not JSON: {why.msg} at line {why.lineno}, column {why.colno}") from None


def dumps(value: Json) -> bytes:
    """Minified UTF-8 in one line; dates as RFC 3339, enumerations by value, dataclasses as objects.

    Copy what is to be kept: orjson (3.13) hands out 4 KiB, whatever is in them.
    """
    return orjson.dumps(value)


def dumps_pretty(value: Json) -> bytes:
    """For people: two spaces, one item a line."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
