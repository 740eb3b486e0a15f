"""One at a time over one database, on whichever machine: Postgres' own advisory locks."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from store.database import Connection


@contextmanager
def tried_lock(connection: Connection, number: int) -> Iterator[bool]:
    """Yield whether this connection holds the lock `number` now; it does not wait for another.

    It is let go at the end, or by Postgres when the connection ends.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
    assert row is not None
    (is_ours,) = row
    try:
        yield is_ours
    finally:
        # A connection that is gone holds nothing: Postgres let go for it.
        if is_ours and not connection.closed:
            with suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_advisory_unlock(%s)", (number,))
