from collections.abc import Iterator

import pytest

from relay.core.indicator import Address
from relay.core.ticket import Ticket
from relay.errors import Rejected
from relay.ingest.rates import Rates
from relay.ingest.shares import TICKET, Shares
from relay.settings.upstream import Source


def tickets(count: int) -> Iterator[Ticket]:
    for number in range(count):
        yield Ticket("crm", "guest", Address(f"session-{number}"), "agent-7", 1)


def test_an_actor_keeps_its_share_and_another_has_its_own() -> None:
    shares = Shares(Rates(Source()))
    one, other = tickets(2)
    assert shares.of(one, 0) is shares.of(one, 1)
    assert shares.of(one, 0) is not shares.of(other, 0)


def test_a_share_is_spent_alone_and_its_source_pays_too() -> None:
    source = Rates(Source(requests_per_s=25))
    shares = Shares(source)
    one, other = (shares.of(ticket, 0).rates for ticket in tickets(2))
    for _ in range(int(2 * TICKET.requests_per_s)):
        one.admit_request(0, 0)
    with pytest.raises(Rejected, match="this ticket's requests_per_s"):
        one.admit_request(0, 0)
    for _ in range(10):
        other.admit_request(0, 0)
    with pytest.raises(Rejected, match="this source's requests_per_s"):
        other.admit_request(0, 0)


def test_shares_nobody_uses_are_forgotten() -> None:
    """An hour of five new sessions a second, each of one request."""
    shares = Shares(Rates(Source()))
    most = 0
    for number, ticket in enumerate(tickets(5 * 3600)):
        now = number * 200
        shares.of(ticket, now).rates.admit_request(100, now)
        most = max(most, len(shares))
    assert most < 20


def test_a_share_with_a_stream_is_never_forgotten() -> None:
    shares = Shares(Rates(Source()))
    first, *others = tickets(1000)
    held = shares.of(first, 0)
    held.streams += 1
    for number, ticket in enumerate(others):
        shares.of(ticket, number * 1000)
    assert shares.of(first, 1_000_000) is held
    assert len(shares) < 20
