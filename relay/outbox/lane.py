"""One endpoint's deliveries on their way: claim what is due, send it, settle what came of it.

    wake (new work, a place free, a settle) ─┐
                                             ▼
    ┌──► places free? gate open? ─► claim ──► a task each: send → judge → settle ──► place free, wake
    └──── sleep until the next is due ◄──┘

What is claimed and not settled, because the process died, the disk refused or a fault nobody foresaw struck, is due
again when its lease ends: a receiver may then get it twice, with the same id; it is never lost.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from relay.core.delivery import Failure, State, Trigger, Verdict, judge, retry_room
from relay.core.endpoint import Standing
from relay.core.moments import Ms, UnixMs
from relay.core.terms import DURABLE, Terms
from relay.core.why import Holding
from relay.errors import Rejected, Unavailable
from relay.outbox.canonical import attempted, outcome_of
from relay.outbox.gate import Gate
from relay.outbox.places import Places
from relay.outbox.rows import Attempt
from relay.outbox.store import Lease, Listener, OutboxStore, Settlement, Want
from relay.outbox.webhook import Letter, Target, Webhook

LEASE_SPARE_MS: Ms = 15_000
"""A lease outlasts the longest POST by this: time for the settle to find the disk."""

LOOK_AGAIN_S = 60.0
"""The longest sleep: due times are wall time, and the wall clock may be set while we sleep."""

RESTART_S = 1.0
"""Between a lane's fault and its new start, so that a fault that stays does not spin."""

CUT_MS: UnixMs = 50
"""The wall clock and the loop's, by which an attempt is cut off at the end of its delivery's life, differ a little."""

delivery_log = logging.getLogger("relay.delivery")
log = logging.getLogger("relay.outbox")


class Lane:
    """Delivers to one endpoint. Call `start`, then `wake` whenever there is work; in the end `stop`."""

    def __init__(
        self,
        endpoint: str,
        webhook: Webhook,
        gate: Gate,
        store: OutboxStore,
        *,
        target: Target,
        places: Places,
        wall: Callable[[], UnixMs],
        jitter: Callable[[], float],
        listener: Listener,
    ) -> None:
        """`jitter` draws chance's share of a wait, 0 to `backoff.JITTER`."""
        self.endpoint = endpoint
        self._webhook = webhook
        self._gate = gate
        self._store = store
        self._take(target)
        self._places = places
        self._wall = wall
        self._jitter = jitter
        self._listener = listener
        self._wake = asyncio.Event()
        self._retired: set[asyncio.Task[None]] = set()
        self._sending: dict[asyncio.Task[None], Lease] = {}
        self._may_have_work = True
        self._is_draining = False
        self._is_stopping = False
        self._is_testing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running(), name=f"lane:{self.endpoint}")

    def wake(self) -> None:
        """Something of this endpoint may be due."""
        self._may_have_work = True
        self._wake.set()

    def halt(self, standing: Standing, why: str) -> None:
        """Nothing more is claimed until `resume`; what is on its way ends as it does."""
        self._gate.stop(standing, why)

    def resume(self) -> None:
        """The endpoint takes deliveries again."""
        self._gate.resume()
        self.wake()

    @property
    def holding(self) -> Holding:
        """What keeps its deliveries back now, but for its standing."""
        circuit, held = self._gate.shut_until()
        is_full = len(self._sending) >= self._concurrency or self._places.is_full
        return Holding(circuit_open_until=circuit, held_until=held, is_full=is_full)

    def retarget(self, webhook: Webhook, target: Target) -> None:
        """From now on it is sent like this; what is on its way ends as it began, and then the old connections close."""
        retired, self._webhook = self._webhook, webhook
        self._take(target)
        closing = asyncio.create_task(
            _closed_after(retired, list(self._sending)), name=f"retired:{self.endpoint}"
        )
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)
        self.wake()

    async def test(self, letter: Letter) -> Attempt:
        """Sends this now, whatever the gate says, and books it nowhere. Raises Rejected while one such is on its way."""
        if self._is_testing:
            raise Rejected(409, "Under way", "a test of this endpoint is on its way: wait for its answer")
        self._is_testing = True
        try:
            attempt, _ = await self._webhook.send(letter)
        finally:
            self._is_testing = False
        return attempt

    async def stop(self, timeout_s: float) -> None:
        """Sends what is due and ends what is on its way, for `timeout_s` at most; the rest stays pending."""
        self._is_draining = True
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task], timeout=timeout_s)
            self._is_stopping = True
            await _cancelled([self._task])
        await _cancelled(list(self._sending))
        await asyncio.gather(*self._retired)
        await self._webhook.close()

    def _take(self, target: Target) -> None:
        self._concurrency, self._terms = target.concurrency, target.terms
        self._lease_ms = target.timeout_s * 1000 + LEASE_SPARE_MS
        self._gate.pace(target.rate_per_s)
        self._gate.bear(target.terms.patience)

    async def _keep_running(self) -> None:
        while not self._is_stopping:
            try:
                await self._run()
            except Exception:  # what survives: the leases end by themselves, the lane begins anew
                log.exception("outbox.lane_failed", extra={"fields": {"endpoint": self.endpoint}})
                self._listener.on_lane_failure(self.endpoint)
                await asyncio.sleep(RESTART_S)  # whoever wakes us meanwhile
            else:
                return

    async def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            pause_s = await self._claim()
            if self._is_draining and not self._sending and not (self._may_have_work and self._room()):
                return
            if not self._wake.is_set():
                await self._sleep(min(pause_s, LOOK_AGAIN_S))

    def _room(self) -> int:
        """How many more may be on their way."""
        in_flight = len(self._sending)
        return self._gate.room(self._concurrency - in_flight, in_flight=in_flight)

    async def _claim(self) -> float:
        """Fills the free places with what is due, and says for how long there is nothing to do unless woken."""
        room = self._room()
        if not room:
            return self._gate.opens_in_s() or LOOK_AGAIN_S
        most, most_retries = self._places.take(room, self.wake, retries=self._retry_room(room))
        if not most:
            return LOOK_AGAIN_S
        self._may_have_work, asked_at = False, self._wall()
        held = frozenset(lease.delivery_id for lease in self._sending.values())
        try:
            claimed = await self._store.claim(
                Want(self.endpoint, most, most_retries, self._lease_ms, self._terms.least_life_ms, held)
            )
        except BaseException as why:
            self._places.give(most, retries=most_retries)
            if not isinstance(why, Unavailable):
                raise
            self._may_have_work = True
            return RESTART_S
        leases = claimed.leases
        self._places.give(most - len(leases), retries=most_retries - sum(map(_is_retry, leases)))
        self._gate.spend(len(leases))
        for lease in leases:
            self._launch(lease)
        # What was due before we asked and was not given waits for a place, and so for a wake; or for the gate.
        is_left = claimed.next_due is not None and claimed.next_due <= asked_at
        self._may_have_work |= is_left or len(leases) == most
        if is_left:
            return self._gate.opens_in_s() or LOOK_AGAIN_S
        return self._pause_s(claimed.next_due)

    def _retry_room(self, room: int) -> int:
        retrying = sum(map(_is_retry, self._sending.values()))
        return retry_room(room, retrying=retrying, concurrency=self._concurrency)

    def _pause_s(self, next_due: UnixMs | None) -> float:
        return LOOK_AGAIN_S if next_due is None else max(0.0, (next_due - self._wall()) / 1000)

    async def _sleep(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._wake.wait()

    def _launch(self, lease: Lease) -> None:
        task = asyncio.create_task(self._deliver(lease), name=f"delivery:{lease.delivery_id}")
        self._sending[task] = lease
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._places.give(1, retries=_is_retry(self._sending.pop(task)))
        if not task.cancelled() and (why := task.exception()):
            log.error("outbox.delivery_failed", exc_info=why, extra={"fields": {"endpoint": self.endpoint}})
            self._listener.on_lane_failure(self.endpoint)
        if self._may_have_work or self._is_draining:
            self._wake.set()

    async def _deliver(self, lease: Lease) -> None:
        attempt, answer = await self._webhook.send(lease)
        now = self._wall()
        verdict = judge(
            answer,
            attempts=lease.attempts,
            jitter=self._jitter(),
            terms=self._terms_of(lease),
            left_ms=None if lease.expires_at is None else lease.expires_at - now,
        )
        turn = None if _is_cut_off(lease, attempt, now) else self._gate.noted(attempt)
        if verdict.pause_ms:
            self._gate.rest(verdict.pause_ms)
        due = self._wall() + int(verdict.wait_ms) if verdict.state is State.PENDING else None
        self._tell(lease, attempt, verdict, due)
        await self._settle(Settlement(lease, attempt, verdict.state, due, verdict.disables_endpoint, turn))

    def _terms_of(self, lease: Lease) -> Terms:
        """A notice has no life of its own, and is owed to an ephemeral endpoint as to any other."""
        return DURABLE if self._terms.is_ephemeral and lease.expires_at is None else self._terms

    def _disable(self, why: str) -> None:
        if self._gate.stop(Standing.DISABLED, why):
            self._listener.on_endpoint_disabled(self.endpoint)

    async def _settle(self, settlement: Settlement) -> None:
        try:
            settled = await self._store.settle(settlement)
        except Unavailable as why:
            # The answer is known and cannot be kept: the lease ends, and it is sent again. Twice, never not at all.
            fields = {
                "endpoint": self.endpoint,
                "delivery_id": settlement.lease.delivery_id,
                "why": why.detail,
            }
            log.warning("outbox.settle_failed", extra={"fields": fields})
            return
        if settled.disables:  # also a 410: what the file does not know of would stop us until the next start
            self._disable(settled.disables)
        if settled.releases_next or settlement.due is not None:
            self.wake()

    def _tell(self, lease: Lease, attempt: Attempt, verdict: Verdict, due: UnixMs | None) -> None:
        """The one line about this attempt; and to the metrics, the same."""
        self._listener.on_attempt(self.endpoint, outcome_of(attempt), attempt.total_ms)
        fields = attempted(lease, attempt, verdict, due)
        delivery_log.info("delivery.attempted", extra={"fields": fields})


def _is_retry(lease: Lease) -> bool:
    """As the store counts them for `most_retries`."""
    return lease.number > 1 or lease.trigger is Trigger.REPLAY


def _is_cut_off(lease: Lease, attempt: Attempt, now: UnixMs) -> bool:
    """Its own life ended it: that says nothing of the endpoint."""
    return (
        attempt.failure is Failure.TIMEOUT
        and lease.expires_at is not None
        and lease.expires_at <= now + CUT_MS
    )


async def _closed_after(webhook: Webhook, sending: "list[asyncio.Task[None]]") -> None:
    """Each of them has a deadline of its own."""
    await asyncio.gather(*sending, return_exceptions=True)
    await webhook.close()


async def _cancelled(tasks: "list[asyncio.Task[None]]") -> None:
    """Ends tasks that had their time. A cancelled POST is unsettled: it is sent again by the next process."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
