"""What loads of knowledge share: one at a time, one encoder a space, vectors batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from contracts.errors import MixedSpaces
from contracts.records import KnowledgeNode
from models.text_encoder import TextEncoder
from store.database import Connection
from store.knowledge import StoredSpace, sample_vectors, source_text, upsert_vectors

SAME_VECTOR = 0.999
"""Cosine from which on an encoder is held to have made a stored vector."""

_LOCK = 7_402_711_385_216

Advance = Callable[[int, int], None]
"""Called with (nodes embedded, nodes to embed) after each batch."""


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Wait until no other load runs: two would embed the same nodes."""
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def require_same_encoder(
    connection: Connection,
    nodes: Sequence[KnowledgeNode],
    *,
    encoder: TextEncoder,
    space: StoredSpace,
) -> None:
    """Raise MixedSpaces when the encoder does not make the vectors that its space holds already."""
    known, stored = sample_vectors(connection, nodes, space=space)
    if not known:
        return
    made = encoder.encode([source_text(node) for node in known], task="document")
    worst = float(np.min(np.sum(made * stored, axis=1)))
    if worst < SAME_VECTOR:
        raise MixedSpaces(
            f"The stored vectors of {space.fingerprint} are not what this encoder makes (cosine"
            f" {worst:.3f}). Use the encoder that made them, or run this with --replace."
        )


def embed(
    connection: Connection,
    nodes: Sequence[KnowledgeNode],
    *,
    encoder: TextEncoder,
    space: StoredSpace,
    advance: Advance,
) -> None:
    """Make and store the nodes' vectors, batch by batch; a batch is kept whatever comes after."""
    # Texts of like length share a batch, so that little is computed on padding.
    ordered = sorted(nodes, key=lambda node: (len(node.body), node.id))
    for start in range(0, len(ordered), encoder.texts_at_once):
        batch = ordered[start : start + encoder.texts_at_once]
        vectors = encoder.encode([source_text(node) for node in batch], task="document")
        upsert_vectors(
            connection, batch, vectors, fingerprint=encoder.space.fingerprint, space=space
        )
        advance(start + len(batch), len(ordered))
