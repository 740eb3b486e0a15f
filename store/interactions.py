"""Interactions, thumbs and request claims in Postgres: the only writer of `interaction_log`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from psycopg import sql as pgsql
from psycopg.types.json import Jsonb

from contracts.records import Feedback
from store.database import AsyncConnection, Pool
from store.sql import statement

Row = dict[str, Any]
"""A record of `contracts` as a JSON object: what the spool holds and the insert reads."""


async def store_rows(
    pool: Pool, *, interactions: Sequence[Row], feedback: Sequence[Row], timeout_s: float = 10.0
) -> None:
    """Store a batch in one transaction. Storing it again changes nothing: each row is kept once.

    Raises psycopg.Error or PoolTimeout when the database refuses or is away; nothing is kept then.
    """
    async with pool.connection(timeout=timeout_s) as connection, connection.transaction():
        if interactions:
            await connection.execute(
                statement("insert_interactions"), {"rows": orjson.dumps(interactions).decode()}
            )
        if feedback:
            await connection.execute(
                statement("keep_pending_feedback"), {"rows": orjson.dumps(feedback).decode()}
            )
        await connection.execute(statement("apply_pending_feedback"))


async def give_feedback(pool: Pool, feedback: Feedback, *, timeout_s: float = 1.0) -> bool:
    """Write a thumb onto its row and return True, or return False when no such row is there yet."""
    async with pool.connection(timeout=timeout_s) as connection:
        cursor = await connection.execute(statement("give_feedback"), asdict(feedback))
        return await cursor.fetchone() is not None


async def claim_request(
    pool: Pool, *, session_id: str, request_id: str, text_digest: str, timeout_s: float
) -> tuple[bool, str, Row | None]:
    """Claim a request_id, or learn who has it.

    Returns (mine, text_digest, answer): `mine` is True when the caller is the first within 24 h;
    otherwise the digest of the first text and its answer, None while that is still being made.
    """
    key = {"session_id": session_id, "request_id": request_id}
    async with pool.connection(timeout=timeout_s) as connection:
        cursor = await connection.execute(
            statement("claim_request"), {**key, "text_digest": text_digest}
        )
        if await cursor.fetchone() is not None:
            return True, text_digest, None
        cursor = await connection.execute(
            "SELECT text_digest, answer FROM request_claims"
            " WHERE session_id = %(session_id)s AND request_id = %(request_id)s",
            key,
        )
        found = await cursor.fetchone()
    return (False, found[0], found[1]) if found else (False, text_digest, None)


async def answer_request(
    pool: Pool, *, session_id: str, request_id: str, answer: Row, timeout_s: float
) -> None:
    """Keep the first answer to a claimed request_id."""
    async with pool.connection(timeout=timeout_s) as connection:
        await connection.execute(
            "UPDATE request_claims SET answer = %s WHERE session_id = %s AND request_id = %s",
            (Jsonb(answer), session_id, request_id),
        )


async def keep_partitions(
    connection: AsyncConnection, *, today: datetime, retention_days: int, ahead_days: int = 7
) -> list[str]:
    """Make the coming days' partitions and drop those past retention; return the dropped names.

    `today` is in UTC. Rows that fell into the default partition are moved into their day's.
    """
    dropped: list[str] = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7402711385214)")
        for offset in range(-1, ahead_days + 1):
            await _make_partition(connection, day=_midnight(today) + timedelta(days=offset))
        oldest = f"interaction_log_{_midnight(today) - timedelta(days=retention_days):%Y%m%d}"
        cursor = await connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'interaction_log'::regclass AND c.relname ~ '_[0-9]{8}$'"
        )
        for (name,) in await cursor.fetchall():
            if name < oldest:
                await connection.execute(pgsql.SQL("DROP TABLE {}").format(pgsql.Identifier(name)))
                dropped.append(name)
        await connection.execute(
            "DELETE FROM interaction_log_default WHERE asked_at < %s",
            (_midnight(today) - timedelta(days=retention_days),),
        )
        await connection.execute(
            "DELETE FROM request_claims WHERE claimed_at < now() - interval '24 hours'"
        )
    return dropped


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def _make_partition(connection: AsyncConnection, *, day: datetime) -> None:
    name = f"interaction_log_{day:%Y%m%d}"
    cursor = await connection.execute("SELECT to_regclass(%s)", (name,))
    found = await cursor.fetchone()
    if found is not None and found[0] is not None:
        return
    table, bounds = pgsql.Identifier(name), (day, day + timedelta(days=1))
    # Filled before it is attached: the default partition may hold rows of this day already.
    await connection.execute(
        pgsql.SQL("CREATE TABLE {} (LIKE interaction_log INCLUDING ALL)").format(table)
    )
    await connection.execute(
        pgsql.SQL(
            "WITH moved AS (DELETE FROM interaction_log_default"
            " WHERE asked_at >= {} AND asked_at < {} RETURNING *)"
            " INSERT INTO {} SELECT * FROM moved"
        ).format(pgsql.Literal(bounds[0]), pgsql.Literal(bounds[1]), table)
    )
    await connection.execute(
        pgsql.SQL(
            "ALTER TABLE interaction_log ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
        ).format(table, pgsql.Literal(bounds[0].isoformat()), pgsql.Literal(bounds[1].isoformat()))
    )
