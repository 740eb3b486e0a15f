"""The interaction log's days: partitions are made ahead, and dropped past retention.

Two functions of the database do it with the rights of the tables' owner (migration 5): the role
that serves makes and drops no other table.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from store.database import AsyncConnection

LOCK_TIMEOUT_MS = 500
"""Writers queue behind a lock that we wait for, so we do not wait for long."""


async def keep_partitions(
    connection: AsyncConnection, *, today: datetime, retention_days: int, ahead_days: int = 7
) -> list[str]:
    """Make the coming days' partitions and drop those past retention; return the dropped names.

    Rows that fell into the default partition are moved into their day's. Each step is a
    transaction of its own, one hub at a time. Raises psycopg.errors.LockNotAvailable when a long
    read of the log is in the way: what was done stays, the rest is done by the next call.
    """
    midnight = today.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for offset in range(-1, ahead_days + 1):
        await _make_partition(connection, day=midnight + timedelta(days=offset))
    oldest = midnight - timedelta(days=retention_days)
    dropped = await _drop_partitions(connection, before=_name(oldest))
    for command in (
        "DELETE FROM interaction_log_default WHERE asked_at < %(oldest)s",
        "DELETE FROM pending_feedback WHERE asked_at < %(oldest)s",
        "DELETE FROM request_claims WHERE claimed_at < now() - interval '24 hours'",
    ):
        await connection.execute(command, {"oldest": oldest})
    return dropped


def _name(day: datetime) -> str:
    return f"interaction_log_{day:%Y%m%d}"


@asynccontextmanager
async def _impatiently(connection: AsyncConnection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        yield


async def _make_partition(connection: AsyncConnection, *, day: datetime) -> None:
    found = await connection.execute(
        "SELECT FROM pg_class WHERE relname = %s AND pg_table_is_visible(oid)", (_name(day),)
    )
    if await found.fetchone() is None:
        async with _impatiently(connection):
            await connection.execute("SELECT make_interaction_day(%s)", (day.date(),))


async def _drop_partitions(connection: AsyncConnection, *, before: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'interaction_log'::regclass"
        " AND c.relname ~ '_[0-9]{8}$' AND c.relname < %s ORDER BY 1",
        (before,),
    )
    dropped = [name for (name,) in await cursor.fetchall()]
    for name in dropped:
        day = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
        async with _impatiently(connection):
            await connection.execute("SELECT drop_interaction_day(%s)", (day,))
    return dropped
