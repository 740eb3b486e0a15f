"""What the database holds of one session, and taking it out.

The tombstone comes first: from its commit on no row of the session is stored any more, so what is
counted and removed after it stays removed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from psycopg.rows import dict_row

from contracts.errors import SchemaMismatch
from store.database import Connection
from store.identity import asked_at
from store.sql import statement

Counts = Mapping[str, int]
"""Rows by table."""

LOCK_TIMEOUT_MS: Final = 10_000
"""Writers queue behind the tombstone's lock, so it does not wait for long."""


def bury(connection: Connection, session_id: str) -> bool:
    """Set the session's tombstone; False when it was there. Waits until rows on their way are in.

    Raises psycopg.errors.LockNotAvailable when the log is held too long; nothing is changed then.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        # Whoever stores rows holds ROW EXCLUSIVE: after this, all see the tombstone.
        connection.execute("LOCK TABLE interaction_log_default IN SHARE ROW EXCLUSIVE MODE")
        cursor = connection.execute(
            "INSERT INTO erased_sessions (session_id) VALUES (%s) ON CONFLICT DO NOTHING",
            (session_id,),
        )
        return cursor.rowcount == 1


def texts_of(connection: Connection, session_id: str) -> set[str]:
    """Return what the session asked, as it is stored."""
    rows = connection.execute(
        "SELECT query_text FROM interaction_log WHERE session_id = %(session_id)s"
        " UNION SELECT item.query_text FROM review_items AS item"
        " JOIN review_members AS member ON member.interaction_id = item.item_id"
        " WHERE member.session_id = %(session_id)s",
        {"session_id": session_id},
    )
    return {text for (text,) in rows}


def count_rows(
    connection: Connection, session_id: str, *, is_theirs: Callable[[str], bool]
) -> dict[str, int]:
    """Return how many rows of each table an erasure would remove.

    `is_theirs` says of an interaction id whether the session asked it.
    """
    row = connection.execute(statement("count_of_session"), {"session_id": session_id}).fetchone()
    assert row is not None, "an aggregate has one row"
    names = ("interaction_log", "request_claims", "review_members", "simulated_sessions")
    counts = dict(zip(names, row, strict=True))
    counts["pending_feedback"] = len(
        _pending(connection, session_id=session_id, is_theirs=is_theirs)
    )
    items = _their_items(connection, session_id)
    gone = [item for item in items if _heir(connection, item, session_id=session_id) is None]
    counts["review_items"] = len(gone)
    counts["review_items passed on"] = len(items) - len(gone)
    counts["labels"] = _one(
        connection, "SELECT count(*) FROM labels WHERE item_id = ANY(%s)", (gone,)
    )
    return counts


def erase_rows(
    connection: Connection, session_id: str, *, is_theirs: Callable[[str], bool]
) -> dict[str, int]:
    """Remove a session's rows from every table, in one transaction; return what went.

    A review item whose text is theirs goes on with another member's own text and keeps its labels,
    which were given to all its members; without another member it goes, and its labels with it.
    Raises psycopg.Error; nothing is removed then but what was before.
    """
    with connection.transaction():
        # Who makes items or labels them just now waits for us, or we for them.
        connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        connection.execute(
            "LOCK TABLE review_items, review_members, labels IN SHARE ROW EXCLUSIVE MODE"
        )
        counts = count_rows(connection, session_id, is_theirs=is_theirs)
        pending = _pending(connection, session_id=session_id, is_theirs=is_theirs)
        for item_id in _their_items(connection, session_id):
            heir = _heir(connection, item_id, session_id=session_id)
            if heir is not None:
                _pass_on(connection, item_id, heir=heir)
            connection.execute("DELETE FROM review_items WHERE item_id = %s", (item_id,))
        for table in ("review_members", "request_claims", "simulated_sessions", "interaction_log"):
            connection.execute(f"DELETE FROM {table} WHERE session_id = %s", (session_id,))
        connection.execute(
            "DELETE FROM pending_feedback WHERE interaction_id = ANY(%s)", (pending,)
        )
    return counts


def require_tombstones(connection: Connection) -> None:
    """Raise SchemaMismatch when the database is older than erasure."""
    if _one(connection, "SELECT to_regclass('erased_sessions')", ()) is None:
        raise SchemaMismatch("It has no erased_sessions; start the hub once. Nothing was removed.")


def _pending(
    connection: Connection, *, session_id: str, is_theirs: Callable[[str], bool]
) -> list[str]:
    rows = connection.execute("SELECT interaction_id, session_id FROM pending_feedback").fetchall()
    return [
        interaction_id
        for interaction_id, given_by in rows
        if given_by == session_id or (given_by is None and is_theirs(interaction_id))
    ]


def _their_items(connection: Connection, session_id: str) -> list[str]:
    rows = connection.execute(
        "SELECT item.item_id FROM review_items AS item"
        " JOIN review_members AS member ON member.interaction_id = item.item_id"
        " WHERE member.session_id = %s ORDER BY item.item_id",
        (session_id,),
    )
    return [item_id for (item_id,) in rows]


def _heir(connection: Connection, item_id: str, *, session_id: str) -> dict[str, Any] | None:
    """Return the interaction that takes an item over: the oldest of another session's that is left.

    Members whose rows went past retention have no text of their own any more.
    """
    rows = connection.execute(
        "SELECT interaction_id FROM review_members WHERE item_id = %s AND session_id <> %s"
        " AND session_id NOT IN (SELECT session_id FROM erased_sessions)",
        (item_id, session_id),
    )
    members = [interaction_id for (interaction_id,) in rows]
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            statement("heir_of_item"),
            {"members": members, "asked_at": [asked_at(one) for one in members]},
        )
        return cursor.fetchone()


def _pass_on(connection: Connection, item_id: str, *, heir: Mapping[str, Any]) -> None:
    values = {**heir, "item_id": item_id}
    connection.execute(statement("pass_item_on"), values)
    for table in ("labels", "review_members"):
        connection.execute(
            f"UPDATE {table} SET item_id = %(interaction_id)s WHERE item_id = %(item_id)s", values
        )


def _one(connection: Connection, query: str, values: tuple[Any, ...]) -> Any:
    row = connection.execute(query, values).fetchone()
    assert row is not None, "an aggregate has one row"
    return row[0]
