"""Shipped timings for platforms whose limits are known.

`genesys`: Genesys Cloud documents 12 agent typing events per conversation and minute, and its guests display one for
5 s. 12 x 5 s is exactly the minute, so every overlap of two displays is paid for with darkness: R is as close to D as
the way there allows, and nothing is jittered. Who types without a pause for minutes sees some 3 s dark in each.

`genesys-6000`: five intervals of a minute at 6 s have room for the overlap, and nothing lapses. To be chosen once one's
organisation is seen to honour a duration above 5,000.
"""

from dataclasses import replace
from typing import Literal

from relay.core.timings import Timings

Profile = Literal["typing", "genesys", "genesys-6000"]
"""`typing`: the timings as they are set, none of the shipped ones."""

PER_CONVERSATION_AND_MINUTE = 12


def profiled(timings: Timings, profile: Profile) -> Timings:
    """`timings` with what the profile says laid over them; what it does not speak of stays."""
    match profile:
        case "typing":
            return timings
        case "genesys":
            return replace(
                timings,
                duration_ms=5000,
                min_interval_ms=4500,
                margin_ms=300,
                pause_after_ms=2500,
                stop_after_ms=8000,
                max_per_minute=PER_CONVERSATION_AND_MINUTE,
                refresh_jitter=0.0,
            )
        case "genesys-6000":
            return replace(
                timings,
                duration_ms=6000,
                min_interval_ms=5000,
                margin_ms=700,
                pause_after_ms=2500,
                stop_after_ms=9000,
                max_per_minute=PER_CONVERSATION_AND_MINUTE,
                refresh_jitter=0.0,
            )
