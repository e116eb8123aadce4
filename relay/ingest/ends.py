"""Why a stream ended, and what its caller is told of it: a close code (RFC 6455 section 7.4.1), and words."""

from enum import StrEnum

from aiohttp import WSCloseCode


class End(StrEnum):
    """Why a stream ended; a metric label."""

    CALLER = "caller"
    SILENT = "silent"
    UNREAD = "unread"
    REVOKED = "revoked"
    DRAINING = "draining"


WORDS: dict[End, tuple[WSCloseCode, bytes]] = {
    End.SILENT: (WSCloseCode.POLICY_VIOLATION, b"no ping was answered"),
    End.UNREAD: (WSCloseCode.POLICY_VIOLATION, b"what is sent here is not read: acks and errors pile up"),
    End.REVOKED: (WSCloseCode.POLICY_VIOLATION, b"these credentials are no longer good"),
    End.DRAINING: (WSCloseCode.GOING_AWAY, b"the relay is stopping: open the stream again"),
}
