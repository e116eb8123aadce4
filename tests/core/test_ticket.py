import re

from hypothesis import given
from hypothesis import strategies as st

from relay.core.ids import ID_PATTERN
from relay.core.indicator import Address
from relay.core.ticket import Ticket, opened, sealed

KEY, OTHER = bytes(range(32)), bytes(32)
TICKET = Ticket(
    "crm", "guest", Address("5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00", "g-17"), "agent-7/phone", 1000
)

ids = st.from_regex(ID_PATTERN.replace("$", r"\Z"))


@given(ids, st.none() | ids, st.none() | ids, st.none() | ids, ids)
def test_what_was_sealed_is_what_is_opened(
    session: str, guest: str | None, communication: str | None, agent: str | None, actor: str
) -> None:
    ticket = Ticket("crm", "guest", Address(session, guest, communication, agent), actor, 1000)
    assert opened(sealed(ticket, KEY), KEY, 0) == ticket


def test_a_ticket_is_good_until_before_its_end() -> None:
    text = sealed(TICKET, KEY)
    assert opened(text, KEY, 999) == TICKET
    assert opened(text, KEY, 1000) is None


def test_a_ticket_of_another_key_is_none() -> None:
    assert opened(sealed(TICKET, OTHER), KEY, 0) is None


@given(st.data())
def test_a_ticket_with_any_character_changed_is_none(data: st.DataObject) -> None:
    text = sealed(TICKET, KEY)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda one: one != text[place]))
    assert opened(text[:place] + other + text[place + 1 :], KEY, 0) is None


@given(st.text() | st.text(alphabet="trt_.AZaz09-=").map("trt_".__add__))
def test_any_text_at_all_is_no_ticket_and_raises_nothing(text: str) -> None:
    assert opened(text, KEY, 0) is None


def test_a_longer_or_shorter_text_is_none() -> None:
    text = sealed(TICKET, KEY)
    assert [
        opened(one, KEY, 0) for one in (text + "=", text[:-1], text + " ", " " + text, text * 20, "trt_.")
    ] == [None] * 6


def test_a_ticket_fits_into_a_subprotocol() -> None:
    """RFC 6455 section 4.1 wants a token there, and RFC 9110 section 5.6.2 says what may be in one."""
    longest = "a" * 128
    ticket = Ticket(
        "s" * 64, "g" * 64, Address(longest, longest, longest, longest), f"{longest}/{longest}", 10**13
    )
    text = sealed(ticket, KEY)
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text)
    assert opened(text, KEY, 0) == ticket
