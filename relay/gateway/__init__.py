"""Messaging platforms: one wanted indicator becomes one HTTP call and one outcome value."""

from relay.gateway.kinds import gateway_of
from relay.gateway.port import Capabilities, Gateway, Health, HealthState, Hold, Liveness
from relay.gateway.throttle import Throttle

__all__ = ["Capabilities", "Gateway", "Health", "HealthState", "Hold", "Liveness", "Throttle", "gateway_of"]
