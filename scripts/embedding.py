"""What loads of knowledge share: one at a time, one encoder a space, vectors batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from contracts.errors import MixedSpaces
from models.text_encoder import TextEncoder
from store.database import Connection
from store.knowledge import StoredSpace, source_text, upsert_vectors
from store.unembedded import NodeNumbers, read_nodes, sample_vectors

SAME_VECTOR = 0.999
"""Cosine from which on an encoder is held to have made a stored vector."""

_LOCK = 7_402_711_385_216

Advance = Callable[[str, int, int | None], None]
"""Called now and then with what is being done, how much of it is, and of how much where known."""


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Wait until no other load runs: two would embed the same nodes."""
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def require_same_encoder(
    connection: Connection, encoder: TextEncoder, *, space: StoredSpace
) -> None:
    """Raise MixedSpaces when the encoder does not make the vectors that its space holds already."""
    known, stored = sample_vectors(connection, space=space)
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
    numbers: NodeNumbers,
    *,
    encoder: TextEncoder,
    space: StoredSpace,
    advance: Advance = lambda what, done, of: None,
) -> None:
    """Make and store these nodes' vectors batch by batch; a batch is kept whatever comes after."""
    for start in range(0, len(numbers), encoder.texts_at_once):
        batch = numbers[start : start + encoder.texts_at_once].tolist()
        embed_batch(connection, batch, encoder=encoder, space=space)
        advance("embedding", start + len(batch), len(numbers))


def embed_batch(
    connection: Connection, numbers: Sequence[int], *, encoder: TextEncoder, space: StoredSpace
) -> None:
    """Make and store the vectors of those nodes that are still there, all or none."""
    nodes = read_nodes(connection, numbers)
    if nodes:
        vectors = encoder.encode([source_text(node) for node in nodes], task="document")
        upsert_vectors(
            connection, nodes, vectors, fingerprint=encoder.space.fingerprint, space=space
        )
