"""What may be raised, and what the catcher should do about it.

    RelayError
    ├── SettingsError      the operator's configuration cannot be used: print it, exit 2
    ├── Rejected           the caller's fault: answer `status`, nothing was applied
    │   └── TooSoon        the session's interval has not passed: wait `wait_ms`
    ├── Unavailable        ours, for now: answer 503 with Retry-After, the caller may repeat
    │   └── OutboxFull     an engagement event could not be recorded for lack of room
    └── StoreError         the outbox file cannot be used at all (no folder, newer schema, corrupt)
        └── HeldError      another process, `holder`, has it: one that soon ends may be waited for

An expected answer of a platform or a receiver is never raised: it is a value (`relay.core.outcome`).
Messages say what was seen, what was wanted and what to do; they never repeat an input's value.
"""


class RelayError(Exception):
    """The root; catch it only where a process or a request ends."""


class SettingsError(RelayError):
    """Names each problem on a line of its own."""


class Rejected(RelayError):  # noqa: N818 - reads as what happened to the request, like h11's states
    """The caller asked for something that cannot be done.

    `status` is the HTTP status that says so, `title` its short form, `problems` one (location, message)
    pair per bad field, where there are any.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        problems: tuple[tuple[str, str], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.problems = problems
        self.retry_after_s = retry_after_s


class TooSoon(Rejected):
    """A broadcast before the session's gate opens (its interval, a Retry-After, a restart); `wait_ms` is until then."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(
            429,
            "Too soon",
            f"the platform may not be told of this session again yet; wait {wait_ms} ms and send again",
            retry_after_s=wait_ms / 1000,
        )
        self.wait_ms = wait_ms


class Unavailable(RelayError):  # noqa: N818 - reads as the state it reports
    """The relay cannot take this now; the same request may succeed after `retry_after_s`."""

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class OutboxFull(Unavailable):
    """The outbox is at its row or byte limit, or its writer cannot keep up: the event was not recorded."""


class StoreError(RelayError):
    """The outbox's file cannot be opened or written; the message names the file and the remedy."""


class HeldError(StoreError):
    """Another process holds the outbox's file: `holder` is its id as it wrote it down, or `unknown`."""

    def __init__(self, detail: str, *, holder: str) -> None:
        super().__init__(detail)
        self.holder = holder
