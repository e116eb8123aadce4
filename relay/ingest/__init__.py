"""Doors in: who calls, what they say, and an answer that loses nothing."""
