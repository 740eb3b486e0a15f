"""Connections to Postgres: one way to open them, for a server, a script or a test."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import psycopg
from pgvector.psycopg import register_vector, register_vector_async
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from contracts.errors import DatabaseUnavailable, SettingsError

CONNECT_TIMEOUT_S = 5
APPLICATION_NAME = "student-resource-hub"
RECONNECT_FOR_S = 2.0
"""How long one attempt to reconnect goes on. Its pauses double, so a short one that is begun anew
by the next query finds a database that came back sooner than a long one."""

_NETWORK: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": APPLICATION_NAME,
    # A peer that vanished without a word is noticed in half a minute, not in two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

Connection = psycopg.Connection[TupleRow]
AsyncConnection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[AsyncConnection]
BlockingPool = ConnectionPool[Connection]

T = TypeVar("T")


def connect(database_url: str, *, vectors: bool = True) -> Connection:
    """Open one connection, in autocommit. `vectors` registers pgvector's type (after migration).

    Raises DatabaseUnavailable with the server's own reason, and SettingsError for an address that
    is none; neither shows the password.
    """
    _check_address(database_url)
    try:
        connection = psycopg.connect(database_url, autocommit=True, **_NETWORK)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"{' '.join(str(error).split())} Start it, correct HUB_DATABASE_URL, or unset that to"
            " use the embedded one."
        ) from error
    if vectors:
        register_vector(connection)
    return connection


def open_pool(database_url: str, *, size: int, options: Mapping[str, str] | None = None) -> Pool:
    """Return a pool that is not open yet: `await pool.open()` belongs to the loop that uses it.

    Connections are in autocommit with pgvector registered; a connection that died is noticed
    before it is handed out. The pool grows from 1 to `size` and reconnects by itself, so a
    database that is away now may come later. Raises SettingsError for an address that is none.
    """
    given = _check_address(database_url).get("options")
    settings = {}
    if options:  # on top of those in the address, which psycopg would leave out
        ours = [f"-c {name}={value}" for name, value in options.items()]
        settings["options"] = " ".join([*([str(given)] if given else []), *ours])
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_S,
        reconnect_timeout=RECONNECT_FOR_S,
        max_idle=300,
        configure=_configure,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, **_NETWORK, **settings},
    )


def open_blocking_pool(database_url: str, *, size: int) -> BlockingPool:
    """Return an open pool for threads, whose connections are in autocommit; close it when done.

    A connection that died is noticed before it is handed out. Raises SettingsError for an address
    that is none.
    """
    _check_address(database_url)
    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=True,
        timeout=CONNECT_TIMEOUT_S,
        reconnect_timeout=RECONNECT_FOR_S,
        max_idle=300,
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, **_NETWORK},
    )


async def within(timeout_s: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, or raise TimeoutError when it takes longer.

    psycopg, when cancelled, asks the server to stop and waits up to 10 s for one that hangs:
    `work` is cancelled, but not waited for.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.done():
            return task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda left: left.cancelled() or left.exception())
    raise TimeoutError(f"the database gave no answer within {timeout_s:g} s")


async def _configure(connection: AsyncConnection) -> None:
    await register_vector_async(connection)


def _check_address(database_url: str) -> dict[str, Any]:
    """Return the parts of an address. Raises SettingsError for one that is none."""
    try:
        return dict(conninfo_to_dict(database_url))
    except psycopg.ProgrammingError:
        # psycopg's own words quote the address, and with it the password.
        raise SettingsError(
            "HUB_DATABASE_URL is no address of a Postgres; it looks like"
            " postgresql://user:password@host:5432/name."
        ) from None
