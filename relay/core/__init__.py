"""Decisions as tables and functions of values and `now`: no clock, network, disk, chance or log."""
