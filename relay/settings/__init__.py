"""The operator's settings: TOML, `.env` and environment in, one frozen `Settings` out."""

from relay.settings.generated_secret import ensure_webhook_secret
from relay.settings.loading import load, without_secret
from relay.settings.models import Settings
from relay.settings.show import masked, schema, template

__all__ = ["Settings", "ensure_webhook_secret", "load", "masked", "schema", "template", "without_secret"]
