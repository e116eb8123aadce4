"""Bodies that are nearly right, or not at all: what the fuzz tests send."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from relay import wire
from tests.ingest.house import EVENT, ORDER

RECORDINGS = sorted((Path(__file__).parent / "adapters" / "recordings").glob("*.json"))
SEEDS = [
    *(wire.dumps(wire.loads(path.read_bytes())["body"]) for path in RECORDINGS),
    wire.dumps(EVENT | {"actor": {"id": "a"}, "at": "2026-11-22T10:00:00Z", "thinkingId": "r"}),
    wire.dumps([EVENT, EVENT | {"seq": 1}]),
    wire.dumps(ORDER),
]
BITS = [
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"[]",
    b"{}",
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b"9" * 400,
    b"[" * 1100,
]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A good body with something wrong in it: a piece cut out, another put in, in the middle of whatever was there."""
    seed = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(seed)))
        end = draw(st.integers(start, min(len(seed), start + 40)))
        seed = seed[:start] + draw(st.sampled_from(BITS) | st.binary(max_size=8)) + seed[end:]
    return seed


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """A good body in which one value, however deep, is another JSON value."""
    whole = wire.loads(draw(st.sampled_from(SEEDS)))
    here = whole
    while isinstance(here, dict | list) and here:
        key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if draw(st.booleans()) or not isinstance(here[key], dict | list) or not here[key]:
            here[key] = draw(JSON)
            break
        here = here[key]
    return wire.dumps(whole)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BODIES = bodies() | values() | st.binary(max_size=60)
