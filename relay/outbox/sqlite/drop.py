"""A delivery goes from the file: with its attempts, and with its event where it was the event's last.

Runs inside the writer's transaction; everything that deletes deliveries does it here, so that the tally is right.
"""

from collections.abc import Sequence

import apsw

from relay.core.delivery import State
from relay.outbox.rows import Purged
from relay.outbox.sqlite.tally import ATTEMPT_ROW_BYTES, Row, Tally

SLICE_ROWS = 500
"""Of whatever is done to many rows, so many to a commit. Measured at 2 to 4 ms: under a slow commit's own length."""

DROP_ATTEMPTS = "DELETE FROM attempts WHERE delivery = ? RETURNING length(excerpt)"
DROP_DELIVERY = """
    DELETE FROM deliveries WHERE id = ?
    RETURNING event, state, endpoint, (SELECT length(body) FROM events WHERE id = event)
"""
DROP_EVENT = """
    DELETE FROM events WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1) RETURNING 1
"""


def drop(connection: apsw.Connection, tally: Tally, deliveries: Sequence[int]) -> Purged:
    """What went. A delivery that is not there is passed over."""
    keys = [(delivery,) for delivery in deliveries]
    excerpts: list[Row] = connection.executemany(DROP_ATTEMPTS, keys).fetchall()
    dropped: list[Row] = connection.executemany(DROP_DELIVERY, keys).fetchall()
    events = connection.executemany(DROP_EVENT, [(event,) for event, *_ in dropped]).fetchall()
    for _, state, endpoint, body_bytes in dropped:
        tally.drop(State(state), endpoint, body_bytes=body_bytes)
    tally.attempts_bytes -= sum(ATTEMPT_ROW_BYTES + size for (size,) in excerpts)
    _pardon(connection, tally, deliveries)
    return Purged(events=len(events), deliveries=len(dropped), attempts=len(excerpts))


def _pardon(connection: apsw.Connection, tally: Tally, deliveries: Sequence[int]) -> None:
    """What is gone need not be waited for."""
    landed = tally.doomed.intersection(deliveries)
    if landed:
        connection.executemany("DELETE FROM doomed WHERE delivery = ?", [(one,) for one in landed])
        tally.doomed -= landed
