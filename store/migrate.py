"""Bring a database's schema to the state that this code was written for."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import InsufficientPrivilege

from contracts.errors import SchemaMismatch
from store.database import Connection
from store.server import require_server

_FOLDER = Path(__file__).with_name("migrations")
_GRANTS = Path(__file__).with_name("grants.sql")
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
        applied = list(_apply(connection, wanted=wanted))
        if steps is None:
            _grant(connection)
        return applied
    except InsufficientPrivilege as error:
        raise SchemaMismatch(
            f"This role may not change it ({error.diag.message_primary}). Run"
            " `python -m scripts.deploy --prepare` as the role that owns the tables (hub_owner)."
        ) from error
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _grant(connection: Connection) -> None:
    """Let the roles of deploy/sql/roles.sql do what they need, where the database has them."""
    row = connection.execute(
        "SELECT count(*) = 3 AND EXISTS (SELECT FROM pg_tables"
        " WHERE tablename = 'schema_migrations' AND tableowner = current_user)"
        " FROM pg_roles WHERE rolname IN ('hub_owner', 'hub_app', 'hub_report')"
    ).fetchone()
    if row is not None and row[0]:
        connection.execute(_GRANTS.read_bytes())


def _apply(connection: Connection, *, wanted: list[Migration]) -> Iterator[str]:
    row = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
    if (
        row is None or row[0] is None
    ):  # whoever may make no table may still see that none is missing
        connection.execute(
            "CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
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
