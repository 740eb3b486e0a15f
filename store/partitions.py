"""The interaction log's days: partitions are made ahead, and dropped past retention."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from psycopg import sql as pgsql

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
async def _alone(connection: AsyncConnection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        await connection.execute("SELECT pg_advisory_xact_lock(7402711385214)")
        yield


async def _exists(connection: AsyncConnection, name: str) -> bool:
    # From the catalog itself: to_regclass may still answer from before another hub's commit.
    cursor = await connection.execute(
        "SELECT FROM pg_class WHERE relname = %s AND pg_table_is_visible(oid)", (name,)
    )
    return await cursor.fetchone() is not None


async def _make_partition(connection: AsyncConnection, *, day: datetime) -> None:
    name = _name(day)
    if await _exists(connection, name):
        return
    async with _alone(connection):
        if await _exists(connection, name):  # another hub was faster
            return
        # From here to the commit no row of this day can slip into the default partition.
        await connection.execute("LOCK TABLE interaction_log_default IN ACCESS EXCLUSIVE MODE")
        names = {
            "table": pgsql.Identifier(name),
            "from_day": pgsql.Literal(day.isoformat()),
            "to_day": pgsql.Literal((day + timedelta(days=1)).isoformat()),
        }
        for command in (
            "CREATE TABLE {table} (LIKE interaction_log INCLUDING ALL)",
            # Filled before it is attached: attaching refuses while the default has such rows.
            "WITH moved AS (DELETE FROM interaction_log_default"
            " WHERE asked_at >= {from_day} AND asked_at < {to_day} RETURNING *)"
            " INSERT INTO {table} SELECT * FROM moved",
            "ALTER TABLE interaction_log ATTACH PARTITION {table}"
            " FOR VALUES FROM ({from_day}) TO ({to_day})",
        ):
            await connection.execute(pgsql.SQL(command).format(**names))


async def _drop_partitions(connection: AsyncConnection, *, before: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'interaction_log'::regclass"
        " AND c.relname ~ '_[0-9]{8}$' AND c.relname < %s ORDER BY 1",
        (before,),
    )
    dropped = [name for (name,) in await cursor.fetchall()]
    for name in dropped:
        async with _alone(connection):
            await connection.execute(
                pgsql.SQL("DROP TABLE IF EXISTS {}").format(pgsql.Identifier(name))
            )
    return dropped
