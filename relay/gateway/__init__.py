"""Messaging platforms: one wanted indicator becomes one HTTP call and one outcome value."""

from relay.gateway.guest import GuestGateway
from relay.gateway.port import Capabilities, Gateway, Health, HealthState, Hold, Liveness
from relay.gateway.throttle import Throttle

__all__ = ["Capabilities", "Gateway", "GuestGateway", "Health", "HealthState", "Hold", "Liveness", "Throttle"]
