"""A guest's evening in figures, for tests that need some."""

from relay.sandbox.replay import Figures

SEEN = Figures(
    keys=1000,
    calls=160,
    by_indicator={"typing": 120, "paused": 30, "typing_stopped": 10},
    runs=40,
    lapses=0,
    late_starts=2,
    dark_share=0.015,
    ghost_mean_ms=4900.4,
    ghost_max_ms=6300.0,
    fewest_clairvoyant=90,
    fewest_online=110,
)
