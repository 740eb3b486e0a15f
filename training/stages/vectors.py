"""The encoder, remembering within a run: two stages look at the same thousands of queries."""

import numpy as np

from contracts.records import Vectors
from contracts.settings import Settings
from contracts.text import digest
from models.encoder import Encoder
from training.split import Encode
from training.stages.run import Report, RunFolder

_CHUNK = 512


def remembering_encoder(run: RunFolder, *, settings: Settings, report: Report) -> Encode:
    """Return a function from texts to unit vectors that keeps them in the run's folder.

    `vectors.npz` has one array a text, under the text's digest. Raises ArtifactError when the
    encoder was not exported yet.
    """
    file = run.path / "vectors.npz"
    known: dict[str, Vectors] = {}
    if file.is_file():
        with np.load(file) as kept:
            known = dict(zip(kept["digests"].tolist(), kept["vectors"], strict=True))

    def encode(texts: list[str]) -> Vectors:
        keys = [digest(text) for text in texts]
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            encoder = Encoder(settings.encoder_dir, threads=settings.train_threads)
            for start in range(0, len(missing), _CHUNK):
                rows = missing[start : start + _CHUNK]
                vectors = encoder.encode([texts[row] for row in rows])
                known.update(zip((keys[row] for row in rows), vectors, strict=True))
                if len(missing) > _CHUNK:
                    report(f"vectors: {start + len(rows):,} of {len(missing):,} queries")
            np.savez(file, digests=np.array(list(known)), vectors=np.stack(list(known.values())))
        return np.stack([known[key] for key in keys])

    return encode
