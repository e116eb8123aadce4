"""Could a relay start with these settings? Everything that can be known without starting one."""

from relay.assembly import NO_GATEWAY, unix_ms
from relay.errors import SettingsError
from relay.gateway.http import base_url_problem
from relay.ingest import Credentials
from relay.ingest.adapters.catalogue import adapters_of
from relay.outbox.targets import targets_of
from relay.settings.models import Settings, is_loopback

ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - asked about, not bound


def refuse_unusable(settings: Settings) -> None:
    """Raises SettingsError with each of the reasons `unusable` finds."""
    problems = unusable(settings)
    if problems:
        raise SettingsError("\n".join(problems))


def unusable(settings: Settings) -> list[str]:
    """Reasons why a relay could not start with these settings, a line each; none where it could. Starts nothing.

    Each look is taken whatever the others found; what one sees first may hide what it would see next.
    """
    problems: list[str] = []
    for look in (
        _refuse_open_operations,
        _refuse_one_place_for_two,
        _refuse_no_gateway,
        _refuse_base_urls,
        _refuse_callers,
        _refuse_adapters,
        _refuse_targets,
    ):
        try:
            look(settings)
        except SettingsError as why:
            problems += str(why).splitlines()
    return problems


def _refuse_no_gateway(settings: Settings) -> None:
    if not settings.gateways:
        raise SettingsError(NO_GATEWAY)


def _refuse_base_urls(settings: Settings) -> None:
    problems = [
        f"gateways.{name}.{key}: {problem}"
        for name, one in settings.gateways.items()
        for key, url in (("base_url", one.api_url), ("login_url", one.auth_url))
        if (problem := base_url_problem(url, allow_http=one.allow_http)) is not None
    ]
    if problems:
        raise SettingsError("\n".join(problems))


def _refuse_callers(settings: Settings) -> None:
    Credentials(settings, wall=unix_ms)


def _refuse_adapters(settings: Settings) -> None:
    adapters_of(settings)


def _refuse_targets(settings: Settings) -> None:
    """An endpoint whose secret is made at the first start is judged then."""
    targets_of({name: one for name, one in settings.endpoints.items() if one.secrets})


def _refuse_open_operations(settings: Settings) -> None:
    if not is_loopback(settings.operations.host):
        raise SettingsError(
            "operations.host: this listener asks nobody who they are, so it listens on loopback only; "
            "reach it through a tunnel or a proxy that does ask"
        )


def _refuse_one_place_for_two(settings: Settings) -> None:
    """The second to bind would be told that the port is in use, and not by whom."""
    server, operations = settings.server, settings.operations
    hosts = {server.host, operations.host}
    if server.port != operations.port or not server.port:
        return
    if len(hosts) == 1 or hosts & ANYWHERE:
        raise SettingsError(
            f"server.port and operations.port are both {server.port}: each listener needs a port of its own"
        )
