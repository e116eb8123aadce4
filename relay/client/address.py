"""Where a relay is, and the key for it: what is wrong with either, found before the first request.

No answer has anything of what was given: there may be a password in a URL, and a key is one.
"""

from urllib.parse import urlsplit

MOST_LABEL = 63
"""Of a host's name between two dots (RFC 1035 section 2.3.4)."""

_ITS_OWN = {"/v1", "/v1/stream", "/docs", "/openapi.json"}
"""What a relay serves at its root, copied with the address; below a proxy's path these may be somebody's names."""


def wrong_with_key(key: str | None) -> str | None:
    """Why it cannot stand in a header, or None."""
    if key is None:
        return None
    if any(char.isspace() for char in key):
        return "it has no spaces or line breaks; strip what was read from a file"
    if not (key.isascii() and key.isprintable()):
        return "it is printable ASCII, as `typing-relay keys new` prints it, whole"
    return None


def wrong_with_url(url: str) -> str | None:
    """Why no request could be made of it, or None."""
    if any(char.isspace() or not char.isprintable() for char in url):
        return "it has no spaces or line breaks; strip what was read from a file"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - looking at it is the check
    except ValueError:
        return "its host or its port is none"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "it begins with http:// or https:// and a host"
    if "@" in parts.netloc:
        return "it has no user and no password; a key is an argument of its own"
    if "?" in url or "#" in url:
        return "it ends with its path, without ? or #"
    return _wrong_with_path(parts.path) or _wrong_with_host(parts.hostname)


def _wrong_with_path(path: str) -> str | None:
    bare = path.rstrip("/")
    if bare in _ITS_OWN or bare.endswith("/v1/events"):
        return "it ends before /v1 or /docs: the paths there are the client's to add"
    return None


def _wrong_with_host(host: str) -> str | None:
    labels = host.removesuffix(".").split(".")
    return None if all(0 < len(label) <= MOST_LABEL for label in labels) else "its host is none"
