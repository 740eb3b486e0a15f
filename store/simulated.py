"""Sessions that are no people: what they ask counts as simulated, for ever."""

from collections.abc import Collection

from store.database import Connection


def mark_simulated(connection: Connection, session_ids: Collection[str]) -> None:
    """Mark sessions as simulated, in one statement. Marked again, they stay so."""
    connection.execute(
        "INSERT INTO simulated_sessions (session_id) SELECT unnest(%s::text[])"
        " ON CONFLICT DO NOTHING",
        (sorted(session_ids),),
    )
