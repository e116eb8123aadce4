"""From the endpoints as configured to the targets deliveries are sent to: secrets and certificates become usable."""

from collections.abc import Mapping

from relay.errors import SettingsError
from relay.outbox.formats import FORMATS
from relay.outbox.signing import keys_of
from relay.outbox.tls import tls_context
from relay.outbox.webhook import Target
from relay.settings.endpoint import Endpoint


def targets_of(endpoints: Mapping[str, Endpoint]) -> dict[str, Target]:
    """Reads the files that endpoints name. Raises SettingsError with every endpoint that cannot be used."""
    targets, problems = {}, []
    for name, endpoint in endpoints.items():
        try:
            targets[name] = _target(endpoint)
        except ValueError as why:
            problems.append(f"endpoints.{name}.{why}")
    if problems:
        raise SettingsError("\n".join(problems))
    return targets


def _target(endpoint: Endpoint) -> Target:
    if not endpoint.secrets and endpoint.generated_secret_path is not None:
        raise ValueError(
            f"secrets: none is given, and {endpoint.generated_secret_path}, which holds the one the relay made, is "
            "missing or empty: put it back, or delete what is left of it and restart for a new one, which the "
            "tracker must be given"
        )
    try:
        keys = keys_of(endpoint.secrets)
    except ValueError as why:
        raise ValueError(f"secrets: {why}") from None
    return Target(
        url=endpoint.url,
        keys=keys,
        format=FORMATS[endpoint.format],
        concurrency=endpoint.concurrency,
        rate_per_s=endpoint.rate_per_s,
        connect_timeout_s=endpoint.connect_timeout_s,
        timeout_s=endpoint.timeout_s,
        allow=endpoint.allow_cidrs,
        headers={name: value.get_secret_value() for name, value in endpoint.headers.items()},
        proxy=None if endpoint.proxy is None else endpoint.proxy.get_secret_value(),
        terms=endpoint.terms(),
        tls=tls_context(endpoint.ca_file, endpoint.client_cert, endpoint.client_key),
    )
