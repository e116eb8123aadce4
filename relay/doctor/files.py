"""Who may read what holds a secret, and whether the outbox's file and its disk will do. Nothing is left behind."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.core.moments import Ms, UnixMs
from relay.core.obstacle import remedy_of
from relay.doctor.finding import Finding, fail, ok, warn
from relay.errors import StoreError
from relay.outbox.sqlite.file import refuse_unfit
from relay.settings import sources
from relay.settings.models import Outbox, Settings

SLOW_FSYNC_MS: Ms = 50.0
"""Every recorded event waits for one; above this, callbacks leave noticeably later than keystrokes come."""

SQLITE = b"SQLite format 3\x00"
MIB = 1_048_576
SECRET_KEYS = frozenset(
    {"client_secret", "secrets", "agent_tokens", "agent_tokens_headers", "headers", "proxy"}
)


def holding_secrets(
    settings: Settings, config: Path | None, environ: Mapping[str, str], cwd: Path
) -> Iterator[Path]:
    """Files that are there and hold a secret, or what guests did."""
    places = {*_given_in(config, environ, cwd), settings.outbox.path}
    places |= {one.generated_secret_path for one in settings.endpoints.values() if one.generated_secret_path}
    places |= {one.client_key or one.client_cert for one in settings.endpoints.values() if one.client_cert}
    places |= {one.agent_tokens_path for one in settings.gateways.values() if one.agent_tokens_path}
    return (cwd / place for place in sorted(map(Path, filter(None, places))) if (cwd / place).is_file())


def _given_in(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Iterator[Path]:
    """The files whence a secret setting came, as `Given.where` tells them."""
    found = sources.gather(config, environ, cwd)
    for given in (*found.given, *found.tutorial):
        if not SECRET_KEYS & set(given.path):
            continue
        name, _, place = given.where.partition(" in ")
        if place in environ:
            yield Path(environ[place])  # a `…_FILE`
        elif place:
            yield Path(place)
        elif ":" in name:
            yield Path(name.rpartition(":")[0])


def mode(path: Path, bits: int) -> Finding:
    """Whether a file with these permissions keeps what it holds."""
    about, seen = f"file {path.name}", f"mode {stat.S_IMODE(bits):04o}"
    fix = f"chmod 600 {path}"
    if bits & stat.S_IWOTH:
        return fail(about, f"{seen}: every user of this machine may change it", fix)
    if bits & stat.S_IROTH:
        return warn(about, f"{seen}: every user of this machine may read it", fix)
    return ok(about, seen)


def modes(
    settings: Settings, config: Path | None, environ: Mapping[str, str], cwd: Path
) -> Iterator[Finding]:
    for path in holding_secrets(settings, config, environ, cwd):
        yield mode(path, path.stat().st_mode)


def outbox(settings: Outbox, cwd: Path) -> Iterator[Finding]:
    """Its folder, its disk, its file and who holds it."""
    path = cwd / settings.path
    try:
        took_ms = fsync_ms(path.parent)
        free = shutil.disk_usage(path.parent).free
        head = _head(path) if path.exists() else None
    except OSError as why:
        yield fail(
            "outbox", f"{path}: {why.strerror}", f"{remedy_of(why.errno)}, or set outbox.path elsewhere"
        )
        return
    problems = [] if head is None else list(unfit(path, head))
    yield from problems or [held(path, holder_of(path))]
    yield fsync(took_ms)
    yield room(free, wanted_bytes=settings.max_bytes + settings.attempts_bytes)


def unfit(path: Path, head: bytes) -> Iterator[Finding]:
    """Why a relay would not start on this file, as it would say; nothing where it would. `head`: how it begins."""
    if head not in (b"", SQLITE):  # empty it is also while its log alone holds what was written
        fix = "set outbox.path to another file, or move this one away"
        yield fail("outbox", f"{path} is no outbox file", fix)
        return
    try:
        refuse_unfit(path)
    except StoreError as why:
        seen, _, fix = str(why).rpartition(": ")
        yield fail("outbox", seen, fix)


def _head(path: Path) -> bytes:
    """Opened as the relay opens it, for writing too. Raises OSError where this user may not."""
    with path.open("r+b") as file:
        return file.read(len(SQLITE))


def fsync_ms(folder: Path) -> Ms:
    """How long the third of three small writes takes to reach the disk. Raises OSError where nothing can be written."""
    with tempfile.TemporaryFile(dir=folder, prefix=".doctor-") as file:
        began = 0.0
        for _ in range(3):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        return (time.perf_counter() - began) * 1000


def holder_of(path: Path) -> str | None:
    """The process that holds this outbox, as it wrote it down; None if none does. Takes no hold and makes no file."""
    file = path.resolve()  # the lock lies beside the file, whatever name it is called by
    try:
        descriptor = os.open(file.with_name(file.name + ".lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)  # with it goes the shared lock
    return None


def held(path: Path, holder: str | None) -> Finding:
    if holder is not None:
        return ok("outbox", f"held by process {holder}, a running relay; a second one would not start on it")
    return ok("outbox", f"{path} is writable and held by nobody")


def fsync(took_ms: Ms) -> Finding:
    if took_ms > SLOW_FSYNC_MS:
        fix = "put outbox.path on a local disk; a network's or a worn-out one holds every event up"
        return warn("outbox disk", f"a write takes {took_ms:.1f} ms to be safe", fix)
    return ok("outbox disk", f"a write takes {took_ms:.1f} ms to be safe")


def room(free_bytes: int, *, wanted_bytes: int) -> Finding:
    seen = f"{free_bytes // MIB} MiB free"
    if free_bytes < wanted_bytes:
        fix = f"make room: outbox.max_bytes and attempts_bytes allow {wanted_bytes // MIB} MiB, or lower them"
        return warn("outbox disk", seen, fix)
    return ok("outbox disk", seen)


def newest_write(settings: Outbox, cwd: Path) -> UnixMs | None:
    path = cwd / settings.path
    near = [path, path.with_name(path.name + "-wal")]
    written = [each.stat().st_mtime_ns // 1_000_000 for each in near if each.exists()]
    return max(written, default=None)
