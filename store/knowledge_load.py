"""From a source into `knowledge_nodes`, page by page; who was killed goes on behind them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from store.database import Connection
from store.knowledge import upsert_nodes
from store.knowledge_source import KnowledgeSource, Page

GOES_ON_FOR: Final = timedelta(days=1)
"""A load that was begun before is begun anew: too much may have changed in what it had read."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading a source came to.

    `good` nodes and `bad` rows, `changed` and `removed` nodes of this run. `begun` counts the rows
    that an earlier run had read; `good` and `bad` hold them too.
    """

    good: int = 0
    bad: int = 0
    changed: int = 0
    removed: int = 0
    begun: int = 0


def load_nodes(
    connection: Connection,
    source: KnowledgeSource,
    *,
    prune: bool = False,
    listen: Callable[[Page, Loaded], None] = lambda page, loaded: None,
) -> Loaded:
    """Store a source's nodes by id, a page a transaction; nodes that it hides are removed.

    Goes on behind the pages of a load of the last day that did not come to `end_load`. `prune` also
    removes the nodes that the source lacks, unless a row is bad: that one may be stored; then the
    source is read from its first row. `listen` hears each page, and what was done so far. Raises
    what the source raises; the pages before are kept.
    """
    if prune:
        end_load(connection, source)
        connection.execute("DROP TABLE IF EXISTS pg_temp.kept_nodes")
        connection.execute('CREATE TEMPORARY TABLE kept_nodes (id text COLLATE "C" PRIMARY KEY)')
    after, loaded = _begun(connection, source)
    for page in source.pages(after=after):
        ids = [node.id for node in page.nodes]
        with connection.transaction():
            changed = upsert_nodes(connection, page.nodes)
            removed = _remove(connection, page.hidden)
            if prune:
                connection.execute("INSERT INTO kept_nodes SELECT unnest(%s::text[])", (ids,))
            loaded = Loaded(
                good=loaded.good + len(ids),
                bad=loaded.bad + len(page.bad),
                changed=loaded.changed + changed,
                removed=loaded.removed + removed,
                begun=loaded.begun,
            )
            if page.upto is not None:
                _remember(connection, source, upto=page.upto, loaded=loaded)
        listen(page, loaded)
    if not prune or loaded.bad:
        return loaded
    lacking = connection.execute(
        "DELETE FROM knowledge_nodes AS node"
        " WHERE NOT EXISTS (SELECT FROM kept_nodes AS kept WHERE kept.id = node.id)"
    ).rowcount
    return replace(loaded, removed=loaded.removed + lacking)


def end_load(connection: Connection, source: KnowledgeSource) -> None:
    """Forget how far a source was read: the next load reads it from its first row."""
    connection.execute("DELETE FROM knowledge_loads WHERE source = %s", (source.name,))


def _begun(connection: Connection, source: KnowledgeSource) -> tuple[str | None, Loaded]:
    row = connection.execute(
        "SELECT upto, good, bad FROM knowledge_loads WHERE source = %s AND begun_at > now() - %s",
        (source.name, GOES_ON_FOR),
    ).fetchone()
    if row is None:
        end_load(connection, source)
        return None, Loaded()
    upto, good, bad = row
    return upto, Loaded(good=good, bad=bad, begun=good + bad)


def _remember(
    connection: Connection, source: KnowledgeSource, *, upto: str, loaded: Loaded
) -> None:
    connection.execute(
        "INSERT INTO knowledge_loads (source, upto, good, bad) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (source) DO UPDATE"
        " SET upto = excluded.upto, good = excluded.good, bad = excluded.bad",
        (source.name, upto, loaded.good, loaded.bad),
    )


def _remove(connection: Connection, ids: tuple[str, ...]) -> int:
    if not ids:
        return 0
    return connection.execute(
        "DELETE FROM knowledge_nodes WHERE id = ANY(%s)", (list(ids),)
    ).rowcount
