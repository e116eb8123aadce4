import pytest

from relay.core.indicator import Cause, Indicator, Rank, Wish
from relay.core.pacer import Pacer
from relay.core.rank import rank_of

TYPING, PAUSED, STOPPED = Indicator
NEW, BEGUN = Pacer(), Pacer(has_begun=True)
START, REFRESH = Wish(TYPING, 3000, Cause.START), Wish(TYPING, 3000, Cause.REFRESH)


@pytest.mark.parametrize(
    ("pacer", "wish", "rank"),
    [
        (NEW, START, Rank.START),
        (BEGUN, START, Rank.REFRESH),
        (BEGUN, REFRESH, Rank.REFRESH),
        (BEGUN, Wish(TYPING, 3000, Cause.DIRECT), Rank.START),
        (BEGUN, Wish(PAUSED, 3000, Cause.PAUSE), Rank.PAUSE),
        (BEGUN, Wish(STOPPED, 3000, Cause.STOP), Rank.STOP),
        (NEW, Wish(STOPPED, 3000, Cause.DIRECT), Rank.STOP),
    ],
)
def test_only_a_typing_that_was_never_accepted_ranks_as_somebodys_first(
    pacer: Pacer, wish: Wish, rank: Rank
) -> None:
    assert rank_of(pacer, wish) is rank
