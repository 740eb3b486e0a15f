"""What turns texts into vectors of one space, wherever it computes them."""

from typing import Literal, Protocol

from contracts.records import Vectors
from models.encoder import VectorSpace

Task = Literal["query", "document"]
"""What a text is embedded for: to ask, or to be found."""


class TextEncoder(Protocol):
    """A model of this machine, or a service. Safe to be called by several threads at once."""

    space: VectorSpace

    texts_at_once: int
    """How many texts a caller with many gives it at a time: what a kill can cost."""

    def encode(self, texts: list[str], *, task: Task) -> Vectors:
        """Return one unit vector a text, in their order: shape (texts, dims), float32."""
