"""Which Postgres and pgvector serve this hub: what they can do, and that they can do enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import DatabaseTooOld, SettingsError
from store.database import AsyncConnection, Connection
from store.sql import statement

OLDEST_POSTGRES: Final = "15"
"""Every statement is parsed with its grammar, and runs on 16 and 18, in the tests."""

OLDEST_PGVECTOR: Final = "0.6.2"
"""The oldest that the tests run on. Its HNSW indexes are what the vectors' search needs."""

_SCANNING_ON: Final = {"hnsw.iterative_scan", "hnsw.max_scan_tuples", "hnsw.scan_mem_multiplier"}
"""What pgvector knows since 0.8."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a database runs on. `pgvector` is None when the server does not have it at all."""

    postgres: str
    pgvector: str | None
    scans_on: bool
    """Whether an index scan goes on until enough rows pass a filter: pgvector 0.8 and newer."""

    def __str__(self) -> str:
        how = (
            "filtered searches go through the index"
            if self.scans_on
            else "its index cannot scan on, so a search that it leaves short of rows compares every"
            " row that passes the filter: exact, but slower. pgvector 0.8 scans on"
        )
        return f"Postgres {self.postgres}, pgvector {self.pgvector}: {how}"


def as_server(row: tuple[Any, ...] | None) -> Server:
    """Return what `read_server.sql` said."""
    assert row is not None, "it has one row"
    postgres, pgvector, scans_on = row
    return Server(postgres.split()[0], pgvector, scans_on)  # "15.7 (Debian 15.7-1)"


def read_server(connection: Connection) -> Server:
    """Return what a database that was migrated runs on."""
    connection.execute("SELECT '[1]'::vector")  # loads the library, which then tells its settings
    return as_server(connection.execute(statement("read_server")).fetchone())


async def verify_options(connection: AsyncConnection, *, wanted: Mapping[str, str]) -> Server:
    """Return what the connection runs on, once its settings are seen to be the wanted ones.

    Raises SettingsError when the server holds another value, or does not know a setting other than
    those that came with scanning on: without them a search is made exactly where it must be.
    """
    await connection.execute("SELECT '[1]'::vector")  # loads the library, which knows its own
    cursor = await connection.execute(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", (list(wanted),)
    )
    held: dict[str, str] = dict(await cursor.fetchall())
    ignored = {
        name: held.get(name)
        for name, value in wanted.items()
        if held.get(name) != value and (name in held or name not in _SCANNING_ON)
    }
    if ignored:
        raise SettingsError(
            f"The database holds {ignored}, the search needs"
            f" { {name: wanted[name] for name in ignored} }: open its connections with"
            " SERVER_OPTIONS."
        )
    cursor = await connection.execute(statement("read_server"))
    return as_server(await cursor.fetchone())


def require_server(connection: Connection) -> None:
    """Raise DatabaseTooOld when the server, or its pgvector, is older than the hub is tested on."""
    check_versions(as_server(connection.execute(statement("read_server")).fetchone()))


def check_versions(server: Server) -> None:
    """Raise DatabaseTooOld when the hub cannot use that server."""
    if _numbers(server.postgres) < _numbers(OLDEST_POSTGRES):
        raise DatabaseTooOld(
            f"It is Postgres {server.postgres}, the hub needs {OLDEST_POSTGRES} or newer. Upgrade"
            " it, or unset HUB_DATABASE_URL to use the embedded one. Nothing was changed."
        )
    if server.pgvector is None:
        raise DatabaseTooOld(
            f"This Postgres {server.postgres} has no pgvector. Install {OLDEST_PGVECTOR} or newer"
            " on its machine. Nothing was changed."
        )
    if _numbers(server.pgvector) < _numbers(OLDEST_PGVECTOR):
        raise DatabaseTooOld(
            f"Its pgvector is {server.pgvector}, the hub needs {OLDEST_PGVECTOR} or newer. Install"
            " that, then let an administrator run `ALTER EXTENSION vector UPDATE` in this database."
            " Nothing was changed."
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Return 16.2 as (16, 2), and the 18beta1 of a preview as (18,)."""
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits or 0))
        if digits != part:
            break
    return tuple(numbers)
