"""Where an endpoint's deliveries would go, read as their sender reads it: one parser, so that no two disagree on a host."""

from collections.abc import Iterator

from yarl import URL

from relay.core import destination
from relay.core.destination import Network


def problems(url: str, proxy: str | None, *, allow_http: bool, allow: tuple[Network, ...]) -> Iterator[str]:
    """What keeps these two from being used; never their text, which may hold a secret."""
    for found in _url_problems(url, allow_http=allow_http, allow=allow):
        yield f"url: {found}"
    for found in () if proxy is None else _proxy_problems(proxy, allow=allow):
        yield f"proxy: {found}"


def opened_by(url: str) -> tuple[Network, ...]:
    """The networks to allow an endpoint of which nothing is known but its url: loopback, where it leads there."""
    try:
        return destination.opened_by(URL(url).host or "")
    except ValueError:
        return ()


def _url_problems(url: str, *, allow_http: bool, allow: tuple[Network, ...]) -> list[str]:
    try:
        read = URL(url)
    except ValueError:
        return ["it cannot be read: write scheme, host and path, as in https://tracker.example/hooks"]
    has_credentials = read.raw_user is not None or read.raw_password is not None
    return destination.url_problems(
        read.scheme, read.host, has_credentials=has_credentials, allow_http=allow_http, allow=allow
    )


def _proxy_problems(proxy: str, *, allow: tuple[Network, ...]) -> list[str]:
    try:
        read = URL(proxy)
    except ValueError:
        return ["it cannot be read: write scheme, host and port, as in http://proxy.example:3128"]
    return list(destination.proxy_problems(read.scheme, read.host, allow=allow))
