"""What the university wrote, and its vectors: loading them, and seeing what is still missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from psycopg import sql
from psycopg.errors import DiskFull

from contracts.errors import DataError, MixedSpaces
from contracts.records import KnowledgeNode, Vectors
from contracts.text import digest, normalise
from store.database import Connection
from store.sql import statement

MAX_DIMS = 2_000
"""The widest vector that pgvector's HNSW index takes."""

_TABLES = (
    "knowledge_nodes",
    "knowledge_terms",
    "knowledge_lexemes",
    "knowledge_totals",
    "knowledge_vectors",
)
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """A vector space as the database knows it: `id` names it inside, `fingerprint` outside."""

    id: int
    fingerprint: str
    dims: int


@dataclass(frozen=True, slots=True)
class SpaceCount:
    """How much of the knowledge has a vector in one space."""

    fingerprint: str
    dims: int
    vectors: int
    nodes: int


def source_text(node: KnowledgeNode) -> str:
    """Return the text of which a node's vector is made: normalised, as queries are."""
    return normalise(f"{node.title} {node.body}")


def upsert_nodes(connection: Connection, nodes: Sequence[KnowledgeNode]) -> int:
    """Store nodes by id, all or none; return how many were new or had changed.

    A node that is stored already as it is stays untouched. Raises DataError when an id is given
    twice.
    """
    if len({node.id for node in nodes}) < len(nodes):
        raise DataError("An id is given twice; nothing was stored.")
    with connection.transaction():
        connection.execute(statement("make_incoming_nodes"))
        copying = sql.SQL("COPY incoming_nodes (id, title, body, url, intent, tags) FROM STDIN")
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            for node in nodes:
                row = (node.id, node.title, node.body, node.url, node.intent, list(node.tags))
                copy.write_row(row)
        return connection.execute(statement("upsert_nodes")).rowcount


def register_space(connection: Connection, fingerprint: str, *, dims: int) -> StoredSpace:
    """Return the space of that fingerprint, made when it is new.

    Raises MixedSpaces when it is known with another width.
    """
    if not 1 <= dims <= MAX_DIMS:
        raise DataError(f"A vector has 1 to {MAX_DIMS} dims, not {dims}.")
    connection.execute(
        "INSERT INTO vector_spaces (fingerprint, dims) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (fingerprint, dims),
    )
    space = find_space(connection, fingerprint)
    assert space is not None
    if space.dims != dims:
        raise MixedSpaces(f"{fingerprint} has {space.dims} dims in the database, {dims} here.")
    return space


def find_space(connection: Connection, fingerprint: str) -> StoredSpace | None:
    """Return the space of that fingerprint, or None when the database does not know it."""
    row = connection.execute(
        "SELECT id, fingerprint, dims FROM vector_spaces WHERE fingerprint = %s", (fingerprint,)
    ).fetchone()
    return StoredSpace(*row) if row else None


def upsert_vectors(
    connection: Connection,
    nodes: Sequence[KnowledgeNode],
    vectors: Vectors,
    *,
    fingerprint: str,
    space: StoredSpace,
) -> None:
    """Store one vector a node in a space, all or none. The nodes are stored already.

    `vectors` has shape (nodes, space.dims), rows of unit length, made by the encoder that
    `fingerprint` names. Raises MixedSpaces for another fingerprint or width, DataError for a row
    that is no unit vector or a node that is not stored.
    """
    if fingerprint != space.fingerprint:
        raise MixedSpaces(f"Vectors of {fingerprint} were offered to {space.fingerprint}.")
    if vectors.ndim != 2 or vectors.shape != (len(nodes), space.dims):
        raise MixedSpaces(
            f"{space.fingerprint} takes {len(nodes)} vectors of {space.dims} dims,"
            f" it was offered the shape {vectors.shape}."
        )
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that NaN fails too.
    if not np.all(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE):
        raise DataError("A vector is not of unit length; nothing was stored.")
    with connection.transaction():
        connection.execute(statement("make_incoming_vectors"))
        copying = sql.SQL(
            "COPY incoming_vectors (id, digest, embedding) FROM STDIN (FORMAT BINARY)"
        )
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types(["text", "text", "vector"])
            for node, vector in zip(nodes, np.asarray(vectors, np.float32), strict=True):
                copy.write_row((node.id, digest(source_text(node)), vector))
        stored = connection.execute(statement("upsert_vectors"), {"space": space.id}).rowcount
        if stored != len(nodes):
            raise DataError(f"{len(nodes) - stored} of the nodes are not stored; no vector was.")


def make_index(connection: Connection, space: StoredSpace, *, workers: int = 2) -> bool:
    """Make the space's HNSW index unless it is there; return whether it was made. After bulk loads.

    An index follows later changes by itself, but is built faster, and better, over what is there.
    With pgvector's own ef_construction of 64, one of forty builds over 50,000 clustered vectors
    left a whole cluster that searches did not reach; with 128 none of 14 did.
    `workers` are used beside our own where the server has room for them.
    """
    name = _index_name(space.id)
    found = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
    if found is not None and found[0] is not None:
        return False
    making = sql.SQL(
        "CREATE INDEX {} ON knowledge_vectors USING hnsw"
        " ((embedding::vector({})) vector_ip_ops) WITH (m = 16, ef_construction = 128)"
        " WHERE space = {}"
    ).format(sql.Identifier(name), sql.Literal(space.dims), sql.Literal(space.id))
    _build(connection, making, workers=workers)
    return True


def tidy(connection: Connection, *, rebuild: bool = True, workers: int = 2) -> None:
    """After a bulk change: build the HNSW indexes anew, take out dead rows, and count anew.

    `rebuild=False` is for a change that only added vectors, or an index that is new itself.

    Searches go on meanwhile. VACUUM could mend an HNSW graph too, but takes three times as long
    for 30 % changed rows, and leaves parts of it that no search reaches (recall 0.96 after it,
    1.00 after a rebuild); over a new index it has nothing to mend. Hence it comes second here, and
    autovacuum leaves the indexes of knowledge_vectors alone (see the migration).
    """
    for name, is_left in connection.execute(statement("vector_indexes")).fetchall():
        index = sql.Identifier(name)
        if is_left:  # by a rebuild that was killed
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index))
        elif rebuild:
            again = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(index)
            _build(connection, again, workers=workers)
    for table in _TABLES:
        connection.execute(
            sql.SQL("VACUUM (ANALYZE, INDEX_CLEANUP ON) {}").format(sql.Identifier(table))
        )


def _build(connection: Connection, building: sql.Composed, *, workers: int) -> None:
    try:
        _set_workers(connection, workers)
        connection.execute(building)
    except DiskFull:
        # A container's /dev/shm is often too small for workers to share the graph in.
        _set_workers(connection, 0)
        connection.execute(building)


def _set_workers(connection: Connection, workers: int) -> None:
    connection.execute(
        "SELECT set_config('max_parallel_maintenance_workers', %s, false)", (str(workers),)
    )


def _index_name(space_id: int) -> str:
    return f"knowledge_vectors_hnsw_{space_id}"


def count_by_space(connection: Connection) -> list[SpaceCount]:
    """Return each space with its number of vectors, newest first, and the number of nodes."""
    rows = connection.execute(statement("count_by_space")).fetchall()
    return [SpaceCount(*row) for row in rows]


def drop_space(connection: Connection, space: StoredSpace) -> None:
    """Remove a space, its index and its vectors: when every replica reports another one.

    Searches go on meanwhile: nothing is locked for longer than a part of the vectors takes. When
    it was killed on its way it can be called again.
    """
    index = sql.Identifier(_index_name(space.id))
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index))
    while connection.execute(statement("forget_vectors"), {"space": space.id}).rowcount:
        pass
    connection.execute("DELETE FROM vector_spaces WHERE id = %s", (space.id,))
