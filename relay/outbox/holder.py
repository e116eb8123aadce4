"""One process holds an outbox file, for its whole life: two would send every event twice.

The hold is the kernel's lock on `<file>.lock`, so it ends with the process however that ends; the process id inside
is only for the message. The lock file stays behind on purpose: removing it would let two processes lock two
different files of that name.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from relay.core.obstacle import remedy_of
from relay.errors import HeldError, StoreError


class Hold:
    """The exclusive right to an outbox file. Call `release` when done; the end of the process does it too."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises HeldError naming the holder, StoreError saying why the lock file cannot be made."""
        held = path.resolve()  # two names of one file are one hold, as SQLite follows links too
        lock = held.with_name(held.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as why:
            raise _unmade(lock, why) from why
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise HeldError(
                f"{path} is held by process {holder}: stop it, or set outbox.path to another file",
                holder=holder,
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as why:
            os.close(descriptor)
            raise _unmade(lock, why) from why
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)


def _unmade(lock: Path, why: OSError) -> StoreError:
    return StoreError(
        f"{lock} cannot be made ({why.strerror}): {remedy_of(why.errno)}, or set outbox.path elsewhere"
    )
