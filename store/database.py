"""Connections to Postgres: one way to open them, for a server, a script or a test."""

import logging
from collections.abc import Mapping

import psycopg
from pgvector.psycopg import register_vector, register_vector_async
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from contracts.errors import DatabaseUnavailable

CONNECT_TIMEOUT_S = 5
APPLICATION_NAME = "student-resource-hub"

log = logging.getLogger(__name__)

Connection = psycopg.Connection[TupleRow]
AsyncConnection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[AsyncConnection]


def connect(database_url: str, *, vectors: bool = True) -> Connection:
    """Open one connection, in autocommit. `vectors` registers pgvector's type (after migration).

    Raises DatabaseUnavailable with the server's own reason and never with the password.
    """
    try:
        connection = psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=APPLICATION_NAME,
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"{error}".strip()) from error
    if vectors:
        register_vector(connection)
    return connection


def open_pool(database_url: str, *, size: int, options: Mapping[str, str] | None = None) -> Pool:
    """Return a pool that is not open yet: `await pool.open()` belongs to the loop that uses it.

    Connections are in autocommit with pgvector registered; a connection that died is noticed
    before it is handed out. The pool grows from 1 to `size` and reconnects by itself, so a
    database that is away now may come later.
    """
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_S,
        reconnect_timeout=30,
        max_idle=300,
        configure=_configure,
        check=AsyncConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": APPLICATION_NAME,
            **({"options": " ".join(f"-c {k}={v}" for k, v in options.items())} if options else {}),
        },
    )


async def _configure(connection: AsyncConnection) -> None:
    await register_vector_async(connection)
