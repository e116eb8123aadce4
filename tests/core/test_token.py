import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.core.token import Remedy, Token, TokenCache, life_of


def cache_with(life_ms: float, *, at: float = 0.0) -> tuple[TokenCache, Token]:
    cache = TokenCache()
    cache.asked()
    return cache, cache.granted("secret", life_ms=life_ms, asked_at=at)


# expires_in - min(60 s, expires_in / 2)
@pytest.mark.parametrize(
    ("life_s", "renew_s"), [(86_400, 86_340), (300, 240), (120, 60), (60, 30), (10, 5), (1, 0.5)]
)
def test_a_token_is_renewed_a_minute_or_half_its_life_early(life_s: float, renew_s: float) -> None:
    assert Token("secret", 0.0, life_s * 1000).renew_at == renew_s * 1000


@pytest.mark.parametrize("expires_in", [60, 30, 1])
def test_a_token_that_lives_a_minute_or_less_is_still_cached(expires_in: int) -> None:
    """The tutorial subtracted 60 s and asked for a token at every call."""
    cache, token = cache_with(life_of(expires_in))
    assert cache.usable(0.0) is token


@pytest.mark.parametrize(
    "expires_in", [None, "", "soon", -1, 0, 0.5, float("nan"), float("inf"), True, [], "-5", "1e9"]
)
def test_an_answer_without_a_usable_expires_in_gets_five_minutes(expires_in: object) -> None:
    assert life_of(expires_in) == 300_000


@pytest.mark.parametrize(
    ("expires_in", "life_ms"), [(300, 3e5), ("300", 3e5), (86399.5, 86_399_500), (10**9, 172_800_000)]
)
def test_a_usable_expires_in_is_seconds_up_to_two_days(expires_in: object, life_ms: float) -> None:
    assert life_of(expires_in) == life_ms


def test_the_secret_is_not_in_a_tokens_repr() -> None:
    assert "hunter2" not in repr(Token("hunter2", 0.0, 1.0))


def test_an_expired_token_is_not_used() -> None:
    cache, token = cache_with(1000)
    assert cache.usable(999.0) is token
    assert cache.usable(1000.0) is None


def test_the_old_token_serves_while_the_next_is_asked_for() -> None:
    cache, token = cache_with(120_000)
    cache.asked()
    assert cache.usable(90_000.0) is token
    assert not cache.may_ask(90_000.0)


def test_of_many_calls_rejected_together_the_first_renews_and_the_rest_find_it_done() -> None:
    cache, old = cache_with(3_600_000)
    assert cache.rejected(old, 10.0) is Remedy.RENEW
    cache.asked()
    assert [cache.rejected(old, 10.0) for _ in range(29)] == [Remedy.RENEW] * 29
    assert not cache.may_ask(10.0)
    new = cache.granted("new", life_ms=3_600_000, asked_at=10.0)
    assert cache.rejected(old, 20.0) is Remedy.USE_NEWER
    assert cache.usable(20.0) is new


def test_a_replacement_that_is_rejected_too_is_not_replaced_at_every_call() -> None:
    cache, old = cache_with(3_600_000)
    cache.rejected(old, 0.0)
    cache.asked()
    new = cache.granted("new", life_ms=3_600_000, asked_at=0.0)
    assert cache.rejected(new, 29_999.0) is Remedy.GIVE_UP
    assert cache.rejected(new, 30_000.0) is Remedy.RENEW


def test_a_rejected_token_is_used_by_nobody_else() -> None:
    cache, old = cache_with(3_600_000)
    cache.rejected(old, 0.0)
    assert cache.usable(0.0) is None


def test_what_the_old_token_proved_says_nothing_about_its_replacement() -> None:
    cache, old = cache_with(3_600_000)
    cache.proven(old)
    cache.rejected(old, 0.0)
    cache.asked()
    new = cache.granted("new", life_ms=3_600_000, asked_at=0.0)
    assert cache.rejected(new, 100.0) is Remedy.GIVE_UP


def test_a_replacement_that_once_worked_is_replaced_at_once() -> None:
    cache, old = cache_with(3_600_000)
    cache.rejected(old, 0.0)
    cache.asked()
    new = cache.granted("new", life_ms=3_600_000, asked_at=0.0)
    cache.proven(new)
    assert cache.rejected(new, 100.0) is Remedy.RENEW


def test_a_refusal_is_followed_by_thirty_seconds_of_peace() -> None:
    cache = TokenCache()
    cache.asked()
    cache.refused(0.0)
    assert not cache.may_ask(29_999.0)
    assert cache.may_ask(30_000.0)


def test_log_ins_that_get_no_answer_come_at_a_doubling_pause_up_to_thirty_seconds() -> None:
    cache, pauses, now = TokenCache(), [], 0.0
    for _ in range(8):
        cache.asked()
        cache.failed(now)
        pauses.append(cache.not_before - now)
        now = cache.not_before
    assert pauses == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]


def test_a_retry_after_on_a_log_in_is_obeyed() -> None:
    cache = TokenCache()
    cache.asked()
    cache.failed(0.0, wait_ms=120_000)
    assert not cache.may_ask(119_999.0)


@given(st.floats(1000, 1e9), st.floats(0, 1e9))
def test_a_token_is_due_before_it_expires_and_after_it_was_fetched(life_ms: float, at: float) -> None:
    token = Token("secret", at, life_ms)
    assert at <= token.renew_at < token.expires_at


class Interleavings(RuleBasedStateMachine):
    """Any number of callers, log-ins that end in any way, rejections of any token ever seen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = TokenCache()
        self.now = 0.0
        self.seen: list[Token] = []
        self.under_way = 0
        self.last_refusal = float("-inf")
        self.asked_at = 0.0

    @rule(ms=st.sampled_from([1.0, 500.0, 5000.0, 31_000.0, 3_600_000.0]))
    def time_passes(self, ms: float) -> None:
        self.now += ms

    @rule()
    def a_caller_without_a_token_asks(self) -> None:
        if self.cache.usable(self.now) is None and self.cache.may_ask(self.now):
            self.asks()

    @rule()
    def the_timer_fires(self) -> None:
        if self.now >= self.cache.next_at() and self.cache.may_ask(self.now):
            self.asks()

    def asks(self) -> None:
        assert self.now >= self.last_refusal + 30_000, "asked again within 30 s of a refusal"
        self.cache.asked()
        self.asked_at = self.now
        self.under_way += 1

    @precondition(lambda self: self.under_way)
    @rule(life_ms=st.sampled_from([1000.0, 60_000.0, 3_600_000.0]))
    def granted(self, life_ms: float) -> None:
        self.seen.append(
            self.cache.granted(f"token-{len(self.seen)}", life_ms=life_ms, asked_at=self.asked_at)
        )
        self.under_way -= 1

    @precondition(lambda self: self.under_way)
    @rule()
    def refused(self) -> None:
        self.cache.refused(self.now)
        self.last_refusal = self.now
        self.under_way -= 1

    @precondition(lambda self: self.under_way)
    @rule()
    def lost(self) -> None:
        self.cache.failed(self.now)
        self.under_way -= 1

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def a_call_is_rejected(self, data: st.DataObject) -> None:
        token, held = data.draw(st.sampled_from(self.seen)), self.cache.cached
        remedy = self.cache.rejected(token, self.now)
        if held is not None and token is not held:
            assert remedy is Remedy.USE_NEWER
            assert self.cache.cached is held, "a late 401 of an old token dropped a newer one"
        if remedy is Remedy.RENEW and self.cache.may_ask(self.now):
            self.asks()

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def a_call_is_accepted(self, data: st.DataObject) -> None:
        self.cache.proven(data.draw(st.sampled_from(self.seen)))

    @invariant()
    def at_most_one_log_in_is_under_way(self) -> None:
        assert self.under_way == int(self.cache.is_asking)
        assert self.under_way <= 1

    @invariant()
    def only_the_newest_token_is_ever_in_hand(self) -> None:
        assert self.cache.cached is None or self.cache.cached is self.seen[-1]

    @invariant()
    def without_a_token_a_next_log_in_is_always_possible(self) -> None:
        if self.cache.cached is None and not self.cache.is_asking:
            assert self.cache.next_at() <= self.now + 30_000


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
