import pytest

from tests.sandbox.cloud import caller

pytestmark = pytest.mark.looptime


async def test_the_page_is_the_same_for_every_guest_so_nothing_of_an_address_can_enter_it() -> None:
    async with caller() as it:
        pages = [await it.text(f"/guest/{who}") for who in ("one", "%3Cscript%3Ealert(1)%3C%2Fscript%3E")]
        assert pages[0] == pages[1]
        assert "Agent is typing…" in pages[0]
