"""This machine, as far as a relay depends on it: settings that fit, a parser, files enough, names, a clock."""

import resource
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from relay.assembly import NO_GATEWAY
from relay.core.moments import UnixMs, rfc3339
from relay.doctor.finding import Finding, fail, ok, warn
from relay.errors import SettingsError
from relay.ingest.listener import assert_compiled_parser
from relay.prerequisites import unusable
from relay.settings.models import Settings

FEW_FILES = 4096
"""Four fifths of the limit are callers' connections; a desktop each, or a stream each, is soon a thousand."""

SHORTEST_LEASE_MS = 11_000
"""Two heartbeats of our own client (`relay.client.runs`), and a second for their way."""

EARLIEST: UnixMs = 1_764_000_000_000
"""November 2025. A machine that believes it is earlier has lost its clock's battery."""

KNOWN_NAMES = frozenset({"RELAY_CONFIG", "RELAY_OPERATIONS_URL"})


def usable(settings: Settings) -> Iterator[Finding]:
    """Whether a relay would start with these settings, and whether they are likely to be meant."""
    problems = unusable(settings)
    for line in problems:
        where, _, words = line.partition(": ")
        seen = where if line == NO_GATEWAY else f"{where} cannot be used"
        yield fail("settings", seen, words or line)
    if not problems:
        yield ok("settings", "a relay would start with them")
    if not settings.endpoints:
        yield warn(
            "settings",
            "no endpoint is configured: events are told to nobody",
            "set WEBHOOK_URL, or [endpoints.NAME]",
        )


def leases(settings: Settings) -> Iterator[Finding]:
    """Whether bots can keep their leases though a heartbeat is lost."""
    for gateway in settings.gateways:
        lease_ms = settings.timings_of(gateway).thinking_lease_ms
        if lease_ms < SHORTEST_LEASE_MS:
            yield warn(
                f"gateway {gateway}",
                f"thinking_lease_ms = {lease_ms}: of a bot that beats every 5 s, as ours do, no beat may be late",
                f"set it to {SHORTEST_LEASE_MS} or more, unless your bots beat more often",
            )


def parser() -> Finding:
    try:
        assert_compiled_parser()
    except SettingsError as why:
        seen, _, fix = str(why).partition(": ")
        return fail("HTTP parser", seen, fix)
    return ok("HTTP parser", "compiled")


def names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Of variables that look like ours and are read by nobody. Those with `__` are refused when settings are read."""
    for name in sorted(environ):
        if name.startswith("RELAY_") and "__" not in name and name not in KNOWN_NAMES:
            near = get_close_matches(name, KNOWN_NAMES, n=1, cutoff=0.8)
            fix = (
                f"did you mean {near[0]}?"
                if near
                else "a setting is named as in RELAY_SERVER__PORT; else ignore this"
            )
            yield warn("environment", f"{name} is read by nobody", fix)


def files(soft: int | None = None) -> Finding:
    """`soft`: the process's limit of open files, unless given the one in force."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft is None else soft
    if limit < FEW_FILES:
        fix = "raise it for the relay's user: ulimit -n 65536, or LimitNOFILE= in its unit"
        return warn("file limit", f"{limit} open files, four fifths of them for callers", fix)
    return ok("file limit", f"{limit} open files")


def clock(wall: UnixMs, *, newest_write: UnixMs | None) -> Finding:
    """`newest_write`: when the outbox's file was last written by this clock."""
    fix = "set this machine's clock (NTP) before the relay starts: events carry its time"
    if wall < EARLIEST:
        return fail("clock", f"it says {rfc3339(wall)}", fix)
    if newest_write is not None and newest_write > wall + 1000:
        behind_s = (newest_write - wall) // 1000
        return fail("clock", f"it is {behind_s} s behind the outbox's newest write", fix)
    return ok("clock", f"it says {rfc3339(wall)}")
