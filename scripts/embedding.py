"""What loads of knowledge share: one at a time, one encoder a space, vectors batch by batch."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from contracts.errors import MixedSpaces, TextTooLong
from contracts.records import KnowledgeNode, Vectors
from contracts.settings import Settings
from models.chosen_encoder import open_text_encoder
from models.encoder import Encoder
from models.text_encoder import TextEncoder
from store.advisory_lock import tried_lock
from store.database import Connection
from store.knowledge import StoredSpace, source_text, upsert_vectors
from store.unembedded import NodeNumbers, read_nodes, sample_vectors

SAME_VECTOR = 0.999
"""Cosine from which on an encoder is held to have made a stored vector."""

_LOCK = 7_402_711_385_216
_LOOK_EVERY_S = 0.2

Advance = Callable[[str, int, int | None], None]
"""Called now and then with what is being done, how much of it is, and of how much where known."""


class Embed(Protocol):
    """Who makes and stores the vectors of nodes: `embed` here, or workers elsewhere."""

    def __call__(
        self,
        connection: Connection,
        numbers: NodeNumbers,
        *,
        encoder: TextEncoder,
        space: StoredSpace,
        advance: Advance,
    ) -> dict[str, str]:
        """Return why some got none, by id."""
        ...


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Wait until no other load runs: two would embed the same nodes."""
    # Asked again and again: who waits inside a statement holds a snapshot, and the load's REINDEX
    # CONCURRENTLY would wait for that in turn.
    while True:
        with tried_lock(connection, _LOCK) as is_ours:
            if is_ours:
                yield
                return
        time.sleep(_LOOK_EVERY_S)


def encoder_of(settings: Settings, folder: Path | None) -> TextEncoder:
    """Return the encoder of a folder, or without one the encoder that the settings name."""
    return Encoder(folder, threads=2) if folder else open_text_encoder(settings, is_load=True)


def require_same_encoder(
    connection: Connection, encoder: TextEncoder, *, space: StoredSpace
) -> None:
    """Raise MixedSpaces when the encoder does not make the vectors that its space holds already."""
    known, stored = sample_vectors(connection, space=space)
    if not known:
        return
    made = _encode(known, encoder=encoder)
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
) -> dict[str, str]:
    """Make and store these nodes' vectors batch by batch; a batch is kept whatever comes after.

    Return why some got none, by id: the encoder would have to cut their text.
    """
    too_long: dict[str, str] = {}
    for start in range(0, len(numbers), encoder.texts_at_once):
        batch = numbers[start : start + encoder.texts_at_once].tolist()
        too_long |= embed_batch(connection, batch, encoder=encoder, space=space)
        advance("embedding", start + len(batch), len(numbers))
    return too_long


def embed_batch(
    connection: Connection, numbers: Sequence[int], *, encoder: TextEncoder, space: StoredSpace
) -> dict[str, str]:
    """Make and store the vectors of those nodes that are still there, all or none.

    Return why some got none, by id: the encoder would have to cut their text.
    """
    nodes, too_long = read_nodes(connection, numbers), {}
    try:
        vectors = _encode(nodes, encoder=encoder)
    except TextTooLong as error:
        too_long = {nodes[row].id: why for row, why in error.because.items()}
        nodes = [node for node in nodes if node.id not in too_long]
        vectors = _encode(nodes, encoder=encoder)
    if nodes:
        upsert_vectors(
            connection, nodes, vectors, fingerprint=encoder.space.fingerprint, space=space
        )
    return too_long


def _encode(nodes: Sequence[KnowledgeNode], *, encoder: TextEncoder) -> Vectors:
    return encoder.encode([source_text(node) for node in nodes], task="document")
