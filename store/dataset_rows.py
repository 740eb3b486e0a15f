"""The rows of the datasets as they lie in Postgres: up to where they are complete, and in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Any, Final

import orjson
import pyarrow as pa
from psycopg import sql as pgsql
from psycopg.types.json import set_json_loads

from contracts.errors import HubError
from store.advisory_lock import tried_lock
from store.database import Connection
from store.dataset_files import ROW_GROUP_ROWS
from store.dataset_kinds import INTERACTIONS, DatasetKind
from store.sql import statement

PART_ROWS: Final = 100_000
"""Interactions in one file."""

MARGIN_S: Final = 5.0
"""How old a transaction is at the latest when others can see that it is open."""

_LOCK: Final = 7_402_711_385_240


class SnapshotRefused(HubError):
    """No snapshot can be taken now; nothing was written."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every row ingested before `at` is committed.

    `is_over` says that the time that was asked for has passed; `held_by` names the open transaction
    that keeps `at` below it, if one does.
    """

    at: datetime
    is_over: bool
    held_by: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a dataset that becomes one file.

    Of interactions: those from `lower` (inclusive) to `upper` (exclusive), each an ingestion time
    and an interaction id. Of labels: all, and both are None.
    """

    kind: DatasetKind
    number: int = 0
    lower: tuple[datetime, str] | None = None
    upper: tuple[datetime, str] | None = None


def day_start(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime.combine(day, time(), UTC)


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    """Keep other snapshots of this database out. Raises SnapshotRefused when one is being taken."""
    with tried_lock(connection, _LOCK) as is_ours:
        if not is_ours:
            raise SnapshotRefused("Another one is being taken just now; wait until it ends.")
        yield


def read_watermark(
    connection: Connection, *, upto: datetime, margin_s: float = MARGIN_S
) -> Watermark:
    """Return up to where the log is complete now, at most `upto`.

    To be asked before the rows are looked at, not inside the transaction that reads them: who
    commits in between is then read as well. Raises SnapshotRefused when it cannot be known.
    """
    at, is_over, hidden, prepared, oldest = _one(
        connection, statement("snapshot_watermark"), {"upto": upto, "margin_s": margin_s}
    )
    if hidden:
        raise SnapshotRefused(
            f"This database role may not see the transactions of {hidden} other sessions, which may"
            " still add rows. GRANT pg_read_all_stats to it."
        )
    if prepared:
        raise SnapshotRefused(
            f"{prepared} prepared transactions may still add rows. Commit or roll them back:"
            " SELECT * FROM pg_prepared_xacts."
        )
    return Watermark(at.astimezone(UTC), is_over, oldest)


def first_day(connection: Connection) -> date | None:
    """Return the UTC day of the oldest row's ingestion, or None when there is no row."""
    (at,) = _one(connection, "SELECT min(ingested_at) FROM interaction_log")
    return at.astimezone(UTC).date() if at else None


def read_erased(connection: Connection) -> frozenset[str]:
    """Return the sessions that were erased: what every reader of datasets leaves out."""
    rows = connection.execute("SELECT session_id FROM erased_sessions").fetchall()
    return frozenset(session_id for (session_id,) in rows)


@contextmanager
def frozen(connection: Connection) -> Iterator[tuple[str, datetime]]:
    """Look at one state of the database; yields its name, for `looking_at`, and its time."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield _one(connection, "SELECT pg_export_snapshot(), now()")


@contextmanager
def looking_at(connection: Connection, snapshot: str) -> Iterator[None]:
    """Look at the state that another connection holds with `frozen`."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(pgsql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        yield


def plan_parts(
    connection: Connection, *, since: datetime, watermark: datetime, part_rows: int = PART_ROWS
) -> list[Part]:
    """Return the parts of the interactions ingested in [since, watermark), of like size."""
    found = connection.execute(
        statement("snapshot_parts"),
        {"since": since, "watermark": watermark, "part_rows": part_rows},
    ).fetchall()
    bounds = [*((at, interaction_id) for at, interaction_id in found), (watermark, "")]
    return [
        Part(INTERACTIONS, number, lower, upper)
        for number, (lower, upper) in enumerate(pairwise(bounds))
    ]


def read_rows(connection: Connection, part: Part) -> Iterator[pa.Table]:
    """Yield a part's rows as tables of the dataset's schema; memory holds one at a time.

    Needs a transaction: the cursor is the server's.
    """
    if part.lower is None or part.upper is None:
        query, values = statement("snapshot_labels"), {}
    else:
        query = statement("snapshot_interactions")
        values = dict(zip(("lower_at", "lower_id"), part.lower, strict=True))
        values |= dict(zip(("upper_at", "upper_id"), part.upper, strict=True))
    set_json_loads(orjson.loads, connection)
    connection.execute("SET LOCAL TimeZone = 'UTC'")
    with connection.cursor(name="snapshot", binary=True) as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(ROW_GROUP_ROWS):
            yield _table(part.kind, rows)


def _table(kind: DatasetKind, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = [
        pa.array(
            [one if one is None else list(one.items()) for one in values]
            if pa.types.is_map(field.type)
            else values,
            field.type,
        )
        for field, values in zip(kind.schema, zip(*rows, strict=True), strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=kind.schema)


def _one(connection: Connection, query: Any, values: Any = None) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    assert row is not None, "an aggregate has one row"
    return row
