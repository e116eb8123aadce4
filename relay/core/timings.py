"""The timing of indicators, and the inequalities that make its promises hold.

All spans are milliseconds. Letters in the formulas are the usual ones: D display, I interval, m margin,
R refresh, P pause, S stop, g tick of the wheel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from relay.core.moments import Ms

TICK_MS: Ms = 20
"""g: deadlines fire at most this late (`relay.core.deadlines`).

What falls due together goes out together, and a first key waits behind it: at 2,000 keys a second the slowest of a
hundred first keys waited about half as long with this as with 100 ms.
"""

MUTE_MS: Ms = 60_000
"""How long a session the platform refused is left alone before it is tried again."""

JITTER = 0.05
"""A refresh comes up to this share of R early, so that a shift's start does not stay in step for ever."""


class StopMode(StrEnum):
    EXPLICIT = "explicit"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class Timings:
    duration_ms: int = 3000
    min_interval_ms: int = 2000
    margin_ms: int = 700
    pause_after_ms: int = 2500
    stop_after_ms: int = 6000
    max_per_minute: int | None = None
    thinking_lease_ms: int = 15_000
    thinking_life_ms: int = 120_000
    typing_life_ms: int = 600_000
    thinking_delay_ms: int = 300
    request_timeout_ms: int = 2000
    late_ms: int = 1000
    min_gain_ms: int = 500
    tombstone_ms: int = 60_000
    stop_mode: StopMode = StopMode.EXPLICIT
    refresh_jitter: float = JITTER

    def refresh_ms(self, duration_ms: int) -> Ms:
        """R: from the send of a typing to its renewal; never under the interval."""
        return max(self.min_interval_ms, duration_ms - self.margin_ms)

    @property
    def restart_ms(self) -> Ms:
        """From a process's last sign of life to its successor's first call: what was on its way has come, and I."""
        return max(self.request_timeout_ms, self.late_ms) + self.min_interval_ms

    def is_pulse(self, duration_ms: int) -> bool:
        """True where the display must lapse between two broadcasts, however prompt they are."""
        return duration_ms - self.margin_ms < self.min_interval_ms


def problems(timings: Timings) -> Iterator[str]:
    """One line per broken constraint, with its formula and both sides; nothing for usable timings."""
    t, tick = timings, int(TICK_MS)
    refresh = int(t.refresh_ms(t.duration_ms))
    early = int(refresh * (1 - t.refresh_jitter))
    if t.is_pulse(t.duration_ms):
        yield (
            f"duration_ms - margin_ms >= min_interval_ms is needed (R >= I), but "
            f"{t.duration_ms} - {t.margin_ms} = {t.duration_ms - t.margin_ms} < {t.min_interval_ms}: "
            "raise duration_ms, or lower margin_ms or min_interval_ms"
        )
    elif early < t.min_interval_ms and t.refresh_jitter > JITTER:
        yield f"refresh_jitter {t.refresh_jitter} would put the refresh at {early} ms, under min_interval_ms"
    if t.min_interval_ms + tick > t.duration_ms:
        yield (
            f"min_interval_ms + tick <= duration_ms is needed (I + RTT + L + g <= D), but "
            f"{t.min_interval_ms} + {tick} > {t.duration_ms}: raise duration_ms"
        )
    if tick > t.margin_ms:
        yield f"tick <= margin_ms is needed (dL + g <= m), but {tick} > {t.margin_ms}: raise margin_ms"
    floor = min(t.pause_after_ms, refresh) + t.duration_ms
    if t.stop_after_ms < floor:
        yield (
            f"stop_after_ms >= min(pause_after_ms, R) + duration_ms is needed (S >= min(P, R) + D), but "
            f"{t.stop_after_ms} < {floor}: raise stop_after_ms"
        )
    if t.thinking_delay_ms >= t.thinking_lease_ms:
        yield (
            f"thinking_delay_ms < thinking_lease_ms is needed (a thought must be able to count before its lease "
            f"ends), but {t.thinking_delay_ms} >= {t.thinking_lease_ms}"
        )
    if t.pause_after_ms >= t.stop_after_ms:
        yield f"pause_after_ms < stop_after_ms is needed, but {t.pause_after_ms} >= {t.stop_after_ms}"
