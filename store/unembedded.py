"""What a space lacks: the nodes without a vector of their present text, and what is to be read."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.records import KnowledgeNode, Vectors
from contracts.text import digest
from store.database import Connection
from store.knowledge import StoredSpace, source_text
from store.sql import statement

_ROWS_AT_ONCE: Final = 10_000

NodeNumbers = NDArray[np.int32]
"""`knowledge_nodes.number` of some nodes: four bytes each, so that a million is nothing."""


def sample_vectors(
    connection: Connection, *, space: StoredSpace
) -> tuple[list[KnowledgeNode], Vectors]:
    """Return a few nodes whose vector is of their present text, and those vectors.

    An encoder that claims the space must make them again.
    """
    rows = connection.execute(
        "SELECT node.id, node.title, node.body, node.url, node.intent, node.tags,"
        " vector.source_digest, vector.embedding FROM knowledge_vectors AS vector"
        " JOIN knowledge_nodes AS node ON node.number = vector.node"
        " WHERE vector.space = %s ORDER BY node.number LIMIT 8",
        (space.id,),
    ).fetchall()
    known = [
        (node, vector.to_numpy())
        for *fields, made_of, vector in rows
        if made_of == digest(source_text(node := _node(fields)))
    ]
    vectors = np.array([vector for _, vector in known], np.float32).reshape(-1, space.dims)
    return [node for node, _ in known], vectors


def without_vector(
    connection: Connection,
    *,
    space: StoredSpace,
    listen: Callable[[int], None] = lambda looked_at: None,
) -> NodeNumbers:
    """Return the nodes that lack a vector of their present text, the longest first.

    Texts of like length share a batch, so that little is computed on padding; and when the last
    ones are short, workers that share the work end together. `listen` hears how many nodes were
    looked at.
    """
    numbers: list[NDArray[np.int32]] = []
    lengths: list[NDArray[np.int32]] = []
    after, looked_at = 0, 0
    while rows := connection.execute(
        statement("read_made_of"),
        {"space": space.id, "after": after, "rows": _ROWS_AT_ONCE},
    ).fetchall():
        lacking = [
            (number, length)
            for number, length, made_of, text in rows
            if made_of is None or made_of != digest(text)
        ]
        found = np.array(lacking, np.int32).reshape(-1, 2)
        numbers.append(found[:, 0])
        lengths.append(found[:, 1])
        after, looked_at = rows[-1][0], looked_at + len(rows)
        listen(looked_at)
    if not numbers:
        return np.empty(0, np.int32)
    order = np.argsort(-np.concatenate(lengths), kind="stable")
    return np.concatenate(numbers)[order]


def read_nodes(connection: Connection, numbers: Sequence[int]) -> list[KnowledgeNode]:
    """Return the nodes of these numbers that are still stored, in any order."""
    rows = connection.execute(
        "SELECT id, title, body, url, intent, tags FROM knowledge_nodes WHERE number = ANY(%s)",
        (list(numbers),),
    ).fetchall()
    return [_node(row) for row in rows]


def _node(row: Sequence[Any]) -> KnowledgeNode:
    id_, title, body, url, intent, tags = row
    return KnowledgeNode(id_, title, body, url, intent, tuple(tags))
