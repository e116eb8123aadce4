"""Where a session is told: at its first address, until it may move to another.

A conversation that is handed to another agent goes on at that agent's leg. While it is busy at the first one, a second
address is somebody's mistake, and would let two agents take it from each other with every key.
"""

from collections.abc import Container, Mapping, Sequence

from relay.core.activity import Activity
from relay.core.indicator import Address, SessionKey, field_of
from relay.core.moments import Ms
from relay.core.session import Session
from relay.errors import Rejected

BUSY_ELSEWHERE = (
    "this session is busy at another address; a new one is taken once nobody has typed there for some seconds, "
    "or the platform has refused it"
)


def check_move(session: Session | None, now: Ms, where: str) -> None:
    """Raises Rejected (422) where a session has to stay at its address. `where` names the event of a batch."""
    if session is not None and not session.may_move(now):
        raise _misaddressed(where, BUSY_ELSEWHERE)


def check_usable(problem: str | None, where: str) -> None:
    """Raises Rejected (422) for what a platform found wrong with an address."""
    if problem is not None:
        raise _misaddressed(where, problem, field_of(problem) or "sessionId")


def refuse_two(activities: Sequence[Activity], given: Mapping[SessionKey, Address]) -> None:
    """Raises Rejected (422) for a batch that has another address for one of these sessions."""
    for place, activity in enumerate(activities):
        address = activity.address
        if given.get((activity.gateway, address.session_id), address) != address:
            raise _misaddressed(f"{place}", "this batch gives the session two addresses")


def places_of(activities: Sequence[Activity], keys: Container[SessionKey]) -> tuple[str, ...]:
    """Where in a batch the events of these sessions stand, as a refusal names them."""
    session_ids = enumerate((one.gateway, one.address.session_id) for one in activities)
    return tuple(f"{place}.sessionId" for place, key in session_ids if key in keys)


def _misaddressed(where: str, problem: str, field: str = "sessionId") -> Rejected:
    location = f"{where}.{field}" if where else field
    return Rejected(422, "Unusable address", problem, problems=((location, problem),))
