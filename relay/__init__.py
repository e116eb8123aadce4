"""Typing Relay: activity events in, paced typing indicators out, signed engagement events to trackers."""

__version__ = "0.1.0"
