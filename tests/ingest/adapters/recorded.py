"""What platforms really post, and what we make of it.

from      where it is published
body      genesys-open: what stands there, value for value; others: their shape, with values of ours
customer  what a middleware calls its customer once it posts to us: stands for the published channel.to.id
says      the events it means to us
"""

from pathlib import Path
from typing import Any

from relay import wire

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
NAMES = [path.stem for path in RECORDINGS]


def recording(name: str) -> Any:
    return wire.loads((Path(__file__).parent / "recordings" / f"{name}.json").read_bytes())


def as_published(name: str) -> bytes:
    return wire.dumps(recording(name)["body"])


def as_posted(name: str) -> bytes:
    """The same, of a customer who is called by the session's id."""
    told = recording(name)
    if "customer" in told:
        told["body"]["channel"]["to"]["id"] = told["customer"]
    return wire.dumps(told["body"])
