"""Why a file cannot be made or opened, as the system numbers it, and what its operator can do about that."""

import errno

_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or raise the quota of the relay's user",
    errno.ENOENT: "make its folder",
    errno.EACCES: "let the relay's user write there",
    errno.EPERM: "let the relay's user write there",
    errno.EROFS: "mount it writable",
}


def remedy_of(number: int | None) -> str:
    """In the imperative, so that another way can follow; `number` is an OSError's `errno`."""
    return _REMEDIES.get(number or 0, "check its folder, its owner and its disk")
