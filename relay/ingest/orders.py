"""A direct order: "show this indicator now", the one-shot call of `POST /v1/broadcasts`, and its answer."""

import sys
from dataclasses import dataclass
from typing import Annotated, Required

from pydantic import Field, TypeAdapter, ValidationError, with_config

from relay.core.ids import UUID_PATTERN
from relay.core.indicator import Address, Indicator
from relay.ingest.events import STRICT, DurationMs, Id, refuse_junk
from relay.ingest.refusals import wire_problems

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic brings it, and reads no other before 3.12


@with_config(STRICT)
class Order(TypedDict, total=False):
    """As posted. `duration` is milliseconds, and an integer: 3000.0 and "3000" are refused."""

    sessionId: Required[Annotated[str, Field(pattern=UUID_PATTERN)]]
    guestId: Id | None
    communicationId: Id | None
    agentUserId: Id | None
    type: Required[Indicator]
    duration: DurationMs | None
    gateway: Annotated[str, Field(max_length=64)] | None


@dataclass(frozen=True, slots=True)
class BroadcastRequest:
    """One indicator a source wants shown now; `gateway` is a configured one. `duration_ms` None: that gateway's own."""

    gateway: str
    source: str
    address: Address
    indicator: Indicator
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """The platform accepted it (`status`), after `latency_ms`, and the audit row `audit_id` is on disk."""

    success: bool
    latency_ms: int
    audit_id: str
    status: int


_ORDER: TypeAdapter[Order] = TypeAdapter(Order)


def read_order(body: bytes) -> Order:
    """The order in a body. Raises Rejected (400, 422)."""
    refuse_junk(body)
    try:
        return _ORDER.validate_json(body)
    except ValidationError as why:
        raise wire_problems(why, Order) from None


def address_of(order: Order) -> Address:
    """Which of the ids are needed is the gateway's to say."""
    return Address(
        order["sessionId"], order.get("guestId"), order.get("communicationId"), order.get("agentUserId")
    )


def request_of(order: Order, address: Address, *, source: str, gateway: str) -> BroadcastRequest:
    return BroadcastRequest(gateway, source, address, order["type"], order.get("duration"))
