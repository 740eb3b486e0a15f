"""Interactions, thumbs and request claims in Postgres: the only writer of `interaction_log`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from psycopg.types.json import Jsonb

from contracts.records import Feedback
from store.database import AsyncConnection, Pool, within
from store.sql import statement

Row = dict[str, Any]
"""A record of `contracts` as a JSON object: what the spool holds and the insert reads."""


async def store_rows(
    pool: Pool, *, interactions: Sequence[Row], feedback: Sequence[Row], timeout_s: float = 2.0
) -> None:
    """Store a batch in one transaction. Storing it again changes nothing: each row is kept once.

    Rows of sessions that were erased (`erased_sessions`) are left out.
    Raises psycopg.Error or PoolTimeout when the database refuses or is away; nothing is kept then.
    """
    async with pool.connection(timeout=timeout_s) as connection, connection.transaction():
        # No partition is made, and nobody is erased, between the choice of a row's place and its
        # commit.
        await connection.execute("LOCK TABLE interaction_log_default IN ROW EXCLUSIVE MODE")
        if interactions:
            await connection.execute(
                statement("insert_interactions"), {"rows": orjson.dumps(interactions).decode()}
            )
        if feedback:
            await connection.execute(
                statement("keep_pending_feedback"), {"rows": orjson.dumps(feedback).decode()}
            )
        await _apply_pending_feedback(connection)


async def _apply_pending_feedback(connection: AsyncConnection) -> None:
    cursor = await connection.execute(statement("pending_span"))
    first, last = await cursor.fetchone() or (None, None)
    if first is not None:
        # Planned anew each time: only the values say which partitions matter.
        await connection.execute(
            statement("apply_pending_feedback"), {"first": first, "last": last}, prepare=False
        )


async def give_feedback(pool: Pool, feedback: Feedback, *, timeout_s: float = 1.0) -> bool:
    """Write a thumb onto its row and return True, or return False when no such row is there yet.

    Raises psycopg.Error, PoolTimeout or TimeoutError when the database refuses or is away.
    """

    async def give() -> bool:
        async with pool.connection(timeout=timeout_s) as connection:
            cursor = await connection.execute(statement("give_feedback"), asdict(feedback))
            return await cursor.fetchone() is not None

    return await within(timeout_s, give())


async def claim_request(
    pool: Pool, *, session_id: str, request_id: str, text_digest: str, timeout_s: float
) -> tuple[bool, str, Row | None]:
    """Claim a request_id, or learn who has it.

    Returns (mine, text_digest, answer): `mine` is True when the caller is the first within 24 h;
    otherwise the digest of the first text and its answer, None while that is still being made.
    """
    key = {"session_id": session_id, "request_id": request_id}

    async def claim() -> tuple[bool, str, Row | None]:
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
            # Not found: given up a moment ago; the caller looks again.
            return (False, found[0], found[1]) if found else (False, text_digest, None)

    return await within(timeout_s, claim())


async def answer_request(
    pool: Pool, *, session_id: str, request_id: str, answer: Row, timeout_s: float
) -> None:
    """Keep the first answer to a claimed request_id."""
    await _on_claim(
        pool,
        "UPDATE request_claims SET answer = %(answer)s"
        " WHERE session_id = %(session_id)s AND request_id = %(request_id)s",
        {"session_id": session_id, "request_id": request_id, "answer": Jsonb(answer)},
        timeout_s=timeout_s,
    )


async def give_up_request(
    pool: Pool, *, session_id: str, request_id: str, timeout_s: float
) -> None:
    """Let go of a claim that got no answer, so that the next try need not wait for it to expire."""
    await _on_claim(
        pool,
        "DELETE FROM request_claims WHERE session_id = %(session_id)s"
        " AND request_id = %(request_id)s AND answer IS NULL",
        {"session_id": session_id, "request_id": request_id},
        timeout_s=timeout_s,
    )


async def _on_claim(pool: Pool, command: str, values: Row, *, timeout_s: float) -> None:
    async def execute() -> None:
        async with pool.connection(timeout=timeout_s) as connection:
            await connection.execute(command, values)

    await within(timeout_s, execute())
