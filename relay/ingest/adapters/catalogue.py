"""The adapters of the configured sources, each with the secrets that prove who posts to it; built once, at load."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from relay.core.moments import unix_ms_of
from relay.errors import SettingsError
from relay.ingest.adapters import chatwoot, cloudevents, genesys_open, mapping
from relay.ingest.adapters.payload import Paths, Posted
from relay.ingest.adapters.signatures import LiveSecret, proof_of
from relay.ingest.body import Form
from relay.ingest.credentials import WRITE, Caller, only_gateway
from relay.ingest.events import Event
from relay.settings.adapting import AdapterName, SignatureName
from relay.settings.models import Settings
from relay.settings.upstream import Source

Read = Callable[[bytes], Posted]
"""The events in one delivery, none where it says nothing about typing. Raises Rejected, BadField."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a source's webhook is read, proven and answered."""

    caller: Caller
    read: Read
    scheme: SignatureName
    secrets: tuple[LiveSecret, ...]
    status: int
    forms: frozenset[Form]
    is_told: bool
    """Whether who posts is told what is wrong (422): not a platform, which has nobody to mend it, and disables its
    webhook, or marks an agent's message as failed. There it is counted, and said in the log."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is so of every source with this adapter; `status` is what its platform takes for a yes."""

    scheme: SignatureName
    status: int = 202
    forms: frozenset[Form] = frozenset({Form.JSON})
    paths: Paths | None = None
    """Where ids usually stand; None where the adapter has its own way to them."""


KINDS: Mapping[AdapterName, _Kind] = {
    "genesys-open": _Kind("hub", status=200, paths=genesys_open.PATHS),
    "chatwoot": _Kind("chatwoot", status=200, paths=chatwoot.PATHS),
    "cloudevents": _Kind("standard", forms=frozenset({Form.CLOUD_EVENT})),
    "mapping": _Kind("standard"),
}


def adapters_of(settings: Settings) -> dict[str, Adapter]:
    """By source. Raises SettingsError with every reason why one cannot be built."""
    problems: list[str] = []
    made: dict[str, Adapter] = {}
    for name, source in settings.sources.items():
        if source.adapter is None:
            problems += [
                f"sources.{name}.{key}: no adapter is named that would use it" for key in _idle(source)
            ]
            continue
        try:
            caller = Caller(name, source.gateway or only_gateway(settings), frozenset({WRITE}))
            made[name] = _adapter(caller, source, source.adapter, settings.server.max_batch_events)
        except ValueError as why:
            problems += [f"sources.{name}.{line}" for line in str(why).splitlines()]
    if problems:
        raise SettingsError("\n".join(problems))
    return made


def _idle(source: Source) -> Iterator[str]:
    """Keys that only mean something beside an adapter."""
    for key in ("signature", "session_path", "guest_path", "mapping"):
        if getattr(source, key):
            yield key


def _adapter(caller: Caller, source: Source, name: AdapterName, max_events: int) -> Adapter:
    kind = KINDS[name]
    if not (source.secrets or source.keys):
        raise ValueError(
            "secrets: what its platform signs with is wanted, or keys: anybody could post otherwise"
        )
    if source.mapping and name != "mapping":
        raise ValueError('mapping: it belongs to adapter = "mapping"')
    if kind.paths is None and (source.session_path or source.guest_path):
        raise ValueError(f"session_path, guest_path: adapter {name} does not use them")
    if kind.paths is not None and caller.gateway is None:
        raise ValueError(
            "gateway: there are several, and a platform's webhook names none: say which one it is for"
        )
    scheme = source.signature or kind.scheme
    return Adapter(
        caller=caller,
        read=_reader(source, name, kind.paths, max_events),
        scheme=scheme,
        secrets=tuple(_live_secrets(source, scheme)),
        status=kind.status,
        forms=kind.forms,
        is_told=kind.paths is None,
    )


def _reader(source: Source, name: AdapterName, usual: Paths | None, max_events: int) -> Read:
    if name == "mapping":
        return _mapped(source, max_events)
    if usual is None:
        return _alone(cloudevents.read)
    paths = Paths(source.session_path or usual.session, source.guest_path or usual.guest)
    return _alone(partial(genesys_open.read if name == "genesys-open" else chatwoot.read, paths=paths))


def _alone(read: Callable[[bytes], list[Event]]) -> Read:
    """Of deliveries with one event, which has no place among others."""
    return lambda body: [((), event) for event in read(body)]


def _mapped(source: Source, max_events: int) -> Read:
    try:
        return mapping.compiled(source.mapping, max_events=max_events).read
    except ValueError as why:
        raise ValueError("\n".join(f"mapping.{line}" for line in str(why).splitlines())) from None


def _live_secrets(source: Source, scheme: SignatureName) -> Iterator[LiveSecret]:
    for number, one in enumerate(source.secrets):
        try:
            proof = proof_of(scheme, one.secret.get_secret_value())
        except ValueError as why:
            raise ValueError(f"secrets.{number}: {why}") from None
        yield LiveSecret(proof, unix_ms_of(one.until))
