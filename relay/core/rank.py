"""Which telling gives way when the budget is short: paused first, then a refresh, then a first typing, a stop last."""

from relay.core.indicator import Cause, Indicator, Rank, Wish
from relay.core.pacer import Pacer

_RANK_OF: dict[Cause, Rank] = {
    Cause.STOP: Rank.STOP,
    Cause.START: Rank.START,
    Cause.DIRECT: Rank.START,
    Cause.REFRESH: Rank.REFRESH,
    Cause.PAUSE: Rank.PAUSE,
}
_STOPPED, _START = Indicator.STOPPED, Cause.START


def rank_of(pacer: Pacer, wish: Wish) -> Rank:
    """A stop is a stop, whoever ordered it.

    Whose typing was accepted once goes on with it, also where its display has lapsed meanwhile: when the budget is
    short all displays lapse, and none of them may go before somebody's first.
    """
    if wish.indicator is _STOPPED:
        return Rank.STOP
    return Rank.REFRESH if wish.cause is _START and pacer.has_begun else _RANK_OF[wish.cause]
