"""Texts to unit vectors: all-MiniLM-L6-v2 in fp32: a vector does not depend on its batch."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.records import Vectors
from models.session import Batch, Feeds, open_session, open_tokenizer, prepare


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """What makes two vectors comparable. `fingerprint` names it in every row and answer."""

    fingerprint: str
    model: str
    revision: str
    quantisation: str
    dims: int
    normalised: bool

    @classmethod
    def read(cls, folder: Path) -> "VectorSpace":
        """Read `space.json` of an encoder folder. Raises FileNotFoundError when there is none."""
        return cls(**json.loads((folder / "space.json").read_text()))


class Encoder:
    """The embedder's model, open and ready: `encode` is prepare → run → finish."""

    texts_at_once = 32

    def __init__(self, folder: Path, *, threads: int = 1, max_batch: int = 32) -> None:
        """Open `model.onnx`, `tokenizer.json` and `space.json` of `folder`."""
        self.space = VectorSpace.read(folder)
        self._max_batch = max_batch
        self._tokenizer = open_tokenizer(folder / "tokenizer.json")
        self._session = open_session(folder / "model.onnx", threads=threads)

    def prepare(self, texts: list[str]) -> list[Batch]:
        return prepare(self._tokenizer, texts, max_batch=self._max_batch)

    def run(self, feeds: Feeds) -> Vectors:
        """Return pooled sentence vectors, not yet of unit length: shape (texts, dims)."""
        (pooled,) = self._session.run(["sentence_embedding"], feeds)
        return np.asarray(pooled, dtype=np.float32)

    def finish(self, pooled: Vectors) -> Vectors:
        """Bring each row to unit length."""
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, np.float32(1e-12)))

    def encode(self, texts: list[str], *, task: str = "query") -> Vectors:
        """Return one unit vector a text, in their order: shape (texts, dims), float32.

        This model embeds a text alike for every `task`.
        """
        vectors = np.empty((len(texts), self.space.dims), dtype=np.float32)
        for batch in self.prepare(texts):
            vectors[batch.rows] = self.finish(self.run(batch.feeds))
        return vectors
