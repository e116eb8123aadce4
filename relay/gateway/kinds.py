"""Which class stands behind a configured `kind`."""

from collections.abc import Callable

from relay.core.moments import UnixMs
from relay.gateway.genesys import GENESYS_CLOUD, GenesysGateway
from relay.gateway.guest import GUEST_API, GuestGateway
from relay.gateway.line import Permit
from relay.gateway.pace import CoolOffCall
from relay.gateway.port import Capabilities, Gateway
from relay.settings.gateway import Gateway as GatewaySettings

KINDS: dict[str, tuple[type[GuestGateway | GenesysGateway], Capabilities]] = {
    "guest": (GuestGateway, GUEST_API),
    "genesys": (GenesysGateway, GENESYS_CLOUD),
}


def capabilities_of(settings: GatewaySettings) -> Capabilities:
    """What the platform can show, known before there is a gateway."""
    return KINDS[settings.kind][1]


def gateway_of(
    name: str,
    settings: GatewaySettings,
    *,
    permit: Permit,
    cool_off: CoolOffCall,
    wall: Callable[[], UnixMs],
) -> Gateway:
    """Not started yet. Raises SettingsError."""
    return KINDS[settings.kind][0](name, settings, permit=permit, cool_off=cool_off, wall=wall)
