from dataclasses import replace
from typing import Any

import pytest

from relay.core.timings import Timings, problems

GUEST = Timings()
GENESYS = Timings(5000, 4500, 300, 2500, 8000, max_per_minute=12, refresh_jitter=0.0)
GENESYS_6000 = Timings(6000, 5000, 700, 2500, 9000)


@pytest.mark.parametrize("profile", [GUEST, GENESYS, GENESYS_6000], ids=["guest", "genesys", "genesys-6000"])
def test_the_profiles_keep_their_promises(profile: Timings) -> None:
    assert list(problems(profile)) == []


@pytest.mark.parametrize(("timings", "refresh_ms"), [(GUEST, 2300), (GENESYS, 4700), (GENESYS_6000, 5300)])
def test_the_refresh_leaves_a_margin(timings: Timings, refresh_ms: int) -> None:
    """R = max(I, D - m)."""
    assert timings.refresh_ms(timings.duration_ms) == refresh_ms


@pytest.mark.parametrize(
    ("duration_ms", "is_pulse"), [(2699, True), (2700, False), (100, True), (10_000, False)]
)
def test_a_duration_the_interval_cannot_bridge_is_a_pulse(duration_ms: int, is_pulse: bool) -> None:  # noqa: FBT001 - a column of the table
    """D - m < I: 2700 - 700 = 2000 is just enough."""
    assert GUEST.is_pulse(duration_ms) is is_pulse


@pytest.mark.parametrize(
    ("broken", "formula", "figures"),
    [
        ({"duration_ms": 2600}, "duration_ms - margin_ms >= min_interval_ms", "1900 < 2000"),
        (
            {"min_interval_ms": 2990, "margin_ms": 20},
            "min_interval_ms + tick <= duration_ms",
            "2990 + 20 > 3000",
        ),
        ({"margin_ms": 19}, "tick <= margin_ms", "20 > 19"),
        ({"stop_after_ms": 5299}, "stop_after_ms >= min(pause_after_ms, R) + duration_ms", "5299 < 5300"),
        ({"thinking_delay_ms": 15_000}, "thinking_delay_ms < thinking_lease_ms", "15000 >= 15000"),
        ({"pause_after_ms": 6000}, "pause_after_ms < stop_after_ms", "6000 >= 6000"),
        ({"refresh_jitter": 0.2}, "refresh_jitter 0.2", "1840 ms"),
    ],
)
def test_each_broken_constraint_is_told_with_its_formula_and_figures(
    broken: dict[str, Any], formula: str, figures: str
) -> None:
    told = [line for line in problems(replace(GUEST, **broken)) if formula in line]
    assert len(told) == 1
    assert figures in told[0]
