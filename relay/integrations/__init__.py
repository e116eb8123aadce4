"""Frameworks that tell a relay by themselves that a bot is at work; each module needs its framework, and no other."""

from relay.integrations.whose import Client, Place, Use

__all__ = ["Client", "Place", "Use"]
