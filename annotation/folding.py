"""Which texts ask the same, and how often: cosines block by block, never all of them at once."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.records import Vectors

SAME_FROM: Final = 0.90
"""Cosine from which on two texts are one question: a label of one is right for the other."""

AKIN_FROM: Final = 0.70
"""Cosine from which on two texts are about the same matter: they count when it is asked how often
something is asked, but each is labelled for itself."""

_BLOCK: Final = 512
"""Rows that are compared with all others together: what bounds the memory."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Groups of one question. `groups[i]` holds rows, the leader first; `akin[i]` is the weight of
    all rows that are akin to that leader, itself included."""

    groups: list[NDArray[np.intp]]
    akin: NDArray[np.float64]


def fold(vectors: Vectors, *, weights: NDArray[np.float64]) -> Folding:
    """Fold each row into the first leader that it is the same as (cosine SAME_FROM or more).

    The heaviest rows lead; of equally heavy ones, the earlier. No chains: every row is near its
    leader, not only near another member. `vectors` are unit rows, shape (texts, dims). Takes
    memory for `_BLOCK` rows of cosines, whatever the number of texts.
    """
    order = np.argsort(-weights, kind="stable")
    vectors, weights = vectors[order], weights[order].astype(np.float32)
    is_free = np.ones(len(vectors), dtype=bool)
    akin = np.zeros(len(vectors), dtype=np.float32)
    groups: list[NDArray[np.intp]] = []
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        # With the rows from here on; those before have compared themselves with this block.
        cosines = vectors[block] @ vectors[start:].T
        is_akin = (cosines >= AKIN_FROM).astype(np.float32)
        akin[block] += is_akin @ weights[start:]
        akin[start:][_BLOCK:] += weights[block] @ is_akin[:, _BLOCK:]
        for place in np.flatnonzero(is_free[block]):
            if is_free[start + place]:
                is_free[start + place] = False
                mates = start + np.flatnonzero((cosines[place] >= SAME_FROM) & is_free[start:])
                is_free[mates] = False
                groups.append(np.concatenate(([start + place], mates)))
    # Of a vector with itself rounding may make a little less than 1, but never less than AKIN_FROM.
    leaders = [group[0] for group in groups]
    return Folding([order[group] for group in groups], akin[leaders].astype(np.float64))


def nearest(vectors: Vectors, *, to: Vectors) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return each row's largest cosine to a row of `to`, and which; of none 0 and -1."""
    cosines = np.zeros(len(vectors), dtype=np.float32)
    rows = np.full(len(vectors), -1, dtype=np.intp)
    if len(to):
        for start in range(0, len(vectors), _BLOCK):
            found = vectors[start : start + _BLOCK] @ to.T
            best = found.argmax(axis=1)
            rows[start : start + _BLOCK] = best
            cosines[start : start + _BLOCK] = found[np.arange(len(best)), best]
    return cosines, rows
