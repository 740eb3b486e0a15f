"""Bring a database's schema to the state that this code was written for."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import SchemaMismatch
from store.database import Connection
from store.server import require_server

_FOLDER = Path(__file__).with_name("migrations")
_LOCK = 7_402_711_385_213
"""Advisory lock: two hubs that start at once migrate one after the other."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. Files are never edited after release: their digest is remembered."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = _FOLDER) -> list[Migration]:
    """Return the numbered migrations in order."""
    return [
        Migration(number=int(file.name[:4]), name=file.stem, sql=file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]


def migrate(connection: Connection, *, steps: list[Migration] | None = None) -> list[str]:
    """Apply what is missing, each in its own transaction, and return the names that were applied.

    Waits for a migration that another process is running. Raises DatabaseTooOld for a server that
    the hub cannot use, and SchemaMismatch when a migration that was applied has since been edited,
    or the database is newer than this code.
    """
    require_server(connection)
    wanted = migrations() if steps is None else steps
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        return list(_apply(connection, wanted=wanted))
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _apply(connection: Connection, *, wanted: list[Migration]) -> Iterator[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY,"
        " name text NOT NULL, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied: dict[int, str] = dict(
        connection.execute("SELECT number, digest FROM schema_migrations").fetchall()
    )
    newest = max((step.number for step in wanted), default=0)
    if applied and max(applied) > newest:
        raise SchemaMismatch(f"It is at migration {max(applied)}, this code knows {newest}.")
    for step in wanted:
        if applied.get(step.number, step.digest) != step.digest:
            raise SchemaMismatch(f"Migration {step.name} was edited after it was applied.")
    for step in wanted:
        if step.number in applied:
            continue
        with connection.transaction():
            connection.execute(step.sql)
            connection.execute(
                "INSERT INTO schema_migrations (number, name, digest) VALUES (%s, %s, %s)",
                (step.number, step.name, step.digest),
            )
        yield step.name
