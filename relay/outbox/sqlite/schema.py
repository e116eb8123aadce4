"""The outbox file's tables, and how an older file becomes a present one.

`due` is the one clock of a delivery: when it may next be claimed. That is its time while it is pending and the end
of its lease while it is in flight, so a lease nobody settled is simply due again. It is NULL once the delivery has
ended, and while one before it, to the same endpoint and about the same session, has not: at most one delivery of
such a lane has a `due`, which is what keeps it in order. One with `overtaken_at` has failed for too long and is no
part of that: from then on the others go on as if it were not there.

Two indexes are read on the hot path and cover live rows only, so they stay as small as the backlog:
`deliveries_due` finds what to claim, `deliveries_lane` finds a session's next. Two more hold only deliveries with a
life of their own: `deliveries_expiring` finds those past it, `deliveries_lightest` what to give up for room.
"""

import apsw

from relay.errors import StoreError

APPLICATION_ID = 0x74797265  # "tyre": tells our file from another program's

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;

    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        gateway TEXT NOT NULL,
        session_id TEXT NOT NULL,
        guest_id TEXT,
        source TEXT NOT NULL,
        state TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        UNIQUE (gateway, session_id)
    ) STRICT;

    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        recorded_at INTEGER NOT NULL,
        traceparent TEXT,
        body BLOB NOT NULL
    ) STRICT;

    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        event INTEGER NOT NULL REFERENCES events (id),
        endpoint TEXT NOT NULL,
        gateway TEXT NOT NULL,
        session_id TEXT NOT NULL,
        class TEXT NOT NULL DEFAULT 'durable',
        state TEXT NOT NULL,
        due INTEGER,
        claim INTEGER,
        is_retry INTEGER NOT NULL DEFAULT 0,
        trigger TEXT NOT NULL DEFAULT 'schedule',
        attempts INTEGER NOT NULL DEFAULT 0,
        budget_start INTEGER NOT NULL DEFAULT 0,
        finished_at INTEGER
    ) STRICT;
    CREATE INDEX deliveries_due ON deliveries (endpoint, is_retry, due) WHERE due IS NOT NULL;
    CREATE INDEX deliveries_lane ON deliveries (endpoint, gateway, session_id) WHERE finished_at IS NULL;
    CREATE INDEX deliveries_event ON deliveries (event);
    CREATE INDEX deliveries_ended ON deliveries (state, finished_at) WHERE finished_at IS NOT NULL;

    CREATE TABLE attempts (
        delivery INTEGER NOT NULL REFERENCES deliveries (id),
        number INTEGER NOT NULL,
        trigger TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        status INTEGER,
        failure TEXT,
        headers_ms REAL,
        total_ms REAL NOT NULL,
        excerpt BLOB NOT NULL,
        PRIMARY KEY (delivery, number)
    ) WITHOUT ROWID, STRICT;

    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        audit_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        gateway TEXT NOT NULL,
        session_id TEXT NOT NULL,
        guest_id TEXT,
        source TEXT NOT NULL,
        indicator TEXT NOT NULL,
        duration_ms INTEGER NOT NULL,
        cause TEXT NOT NULL,
        success INTEGER NOT NULL,
        status INTEGER,
        error TEXT,
        message TEXT NOT NULL,
        latency_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE endpoints (
        name TEXT PRIMARY KEY,
        reason TEXT NOT NULL,
        since INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT;
    """,
    # In the index, because every append and claim asks its lane for one kind or the other.
    """
    ALTER TABLE deliveries ADD COLUMN overtaken_at INTEGER;
    DROP INDEX deliveries_lane;
    CREATE INDEX deliveries_lane ON deliveries (endpoint, gateway, session_id, overtaken_at)
        WHERE finished_at IS NULL;
    """,
    # An endpoint has a row from its first day on, and a delivery may have an end of its own: `life_ms` after it was
    # recorded, or replayed. `weight` is an ephemeral one's (see core.terms), and says which are given up first. An
    # event knows its source, so that it can be told why an endpoint did not want it. `doomed` are purged once landed.
    """
    ALTER TABLE deliveries ADD COLUMN expires_at INTEGER;
    ALTER TABLE deliveries ADD COLUMN life_ms INTEGER;
    ALTER TABLE deliveries ADD COLUMN weight INTEGER;
    CREATE INDEX deliveries_lightest ON deliveries (weight) WHERE weight IS NOT NULL AND state = 'pending';
    CREATE INDEX deliveries_expiring ON deliveries (expires_at)
        WHERE expires_at IS NOT NULL AND finished_at IS NULL;
    ALTER TABLE endpoints ADD COLUMN state TEXT NOT NULL DEFAULT 'disabled';
    ALTER TABLE endpoints ADD COLUMN last_success INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE endpoints ADD COLUMN first_exhausted INTEGER;
    ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT '';
    CREATE TABLE doomed (delivery INTEGER PRIMARY KEY) STRICT;
    """,
    # `is_shed`: cancelled because its endpoint held more than its share. `turned` is the last of its circuit's turns
    # that was told, so that whoever heard of a trouble hears of its end, a restart between them or not.
    """
    ALTER TABLE deliveries ADD COLUMN is_shed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE endpoints ADD COLUMN turned TEXT;
    ALTER TABLE endpoints ADD COLUMN turned_since INTEGER;
    """,
    # `last_success` is also the first use of an endpoint and its resume; this is what people are shown. Of an older
    # file it is known from what was delivered and is still kept.
    """
    ALTER TABLE endpoints ADD COLUMN succeeded_at INTEGER;
    UPDATE endpoints SET succeeded_at = found.at FROM (
        SELECT endpoint, max(finished_at) AS at FROM deliveries WHERE state = 'delivered' GROUP BY endpoint
    ) AS found WHERE found.endpoint = name;
    """,
)
"""Step n makes a file of version n one of version n + 1. A step once released is never edited."""


def fitting_version(connection: apsw.Connection) -> int:
    """The file's schema version, 0 of a new one. Raises StoreError for a file we must not touch."""
    version = _pragma(connection, "user_version")
    is_new = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get is None
    if not is_new and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(
            "the outbox file is another program's database: set outbox.path to a file of our own"
        )
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the outbox file has schema {version} and this release knows up to {len(MIGRATIONS)}: "
            "run the newer release that wrote it, or set outbox.path to a new file"
        )
    return version


def migrate(connection: apsw.Connection) -> None:
    """Brings the file to the present version in one transaction. Raises StoreError as `fitting_version` does."""
    version = fitting_version(connection)
    if version == len(MIGRATIONS):
        return
    with connection:
        for step in MIGRATIONS[version:]:
            connection.execute(step)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _pragma(connection: apsw.Connection, name: str) -> int:
    value = connection.pragma(name)
    assert isinstance(value, int)
    return value
