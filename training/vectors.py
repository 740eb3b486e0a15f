"""The encoder's vectors, remembered: a version hands those of its examples on to the next.

`vectors.npz` holds the space's fingerprint, and per text its digest and its unit vector in half
precision: enough to find near-duplicates by, and half a minute less in each retraining. It is this
machine's encoder whatever HUB_EMBEDDER names: texts are compared among themselves, which needs
neither the space of the knowledge nor a service that is paid by the text.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import numpy as np

from contracts.records import Vector, Vectors
from contracts.text import digest
from models.encoder import Encoder

FILE: Final = "vectors.npz"
_CHUNK: Final = 512
_DIGEST: Final = np.dtype("U64")

Report = Callable[[str], None]


class KnownVectors:
    """An encoder that embeds each text once, whoever asks."""

    def __init__(self, encoder: Encoder, *, report: Report = lambda line: None) -> None:
        """`report` hears how far it is when there is much to embed."""
        self._encoder = encoder
        self._report = report
        self._known: dict[str, Vector] = {}

    def read(self, file: Path) -> None:
        """Learn what `write` left; nothing when it is not there or of another space."""
        if not file.is_file():
            return
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["space"]) == self._encoder.space.fingerprint:
                vectors = kept["vectors"].astype(np.float32)
                self._known |= dict(zip(kept["digests"].tolist(), vectors, strict=True))

    def write(self, file: Path, *, digests: Collection[str] | None = None) -> None:
        """Write the vectors of these texts, or of all that are known."""
        keys = sorted(self._known if digests is None else set(digests) & set(self._known))
        dims = self._encoder.space.dims
        rows = [self._known[key] for key in keys] or np.empty((0, dims))
        np.savez(
            file,
            space=np.array(self._encoder.space.fingerprint),
            digests=np.array(keys, dtype=_DIGEST),
            vectors=np.asarray(rows, dtype=np.float16),
        )

    def encode(self, texts: list[str]) -> Vectors:
        """Return one vector a text, in order: shape (texts, dims), float32."""
        keys = [digest(text) for text in texts]
        missing = list(
            {key: row for row, key in enumerate(keys) if key not in self._known}.values()
        )
        for start in range(0, len(missing), _CHUNK):
            rows = missing[start : start + _CHUNK]
            vectors = self._encoder.encode([texts[row] for row in rows])
            # Rounded as in the file: what a run computes and what the next one reads are the same.
            kept = vectors.astype(np.float16).astype(np.float32)
            self._known.update(zip((keys[row] for row in rows), kept, strict=True))
            if len(missing) > _CHUNK:
                self._report(f"vectors: {start + len(rows):,} of {len(missing):,} queries")
        return np.stack([self._known[key] for key in keys])
