"""Queries that belong together though no intent fits them: what a new intent may be made of."""

from dataclasses import dataclass

import numpy as np

from contracts.records import Vectors

ALIKE_FROM = 0.55
"""Cosine to a cluster's centre from which on a query belongs to it: one matter, other words."""
FEWEST = 3
"""Queries that make a cluster: two may be chance."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows that belong together, the most typical first. `weight` is how often they were asked."""

    rows: tuple[int, ...]
    weight: int


def find_clusters(
    vectors: Vectors,
    *,
    weights: list[int],
    alike_from: float = ALIKE_FROM,
    fewest: int = FEWEST,
) -> list[Cluster]:
    """Return the clusters among unit vectors of shape (texts, dims), the weightiest first.

    A cluster grows round the row with the most neighbours left, takes its neighbours' mean as its
    centre, and keeps every row within `alike_from` of that; no row is in two. Rows without company
    are left out. The same input gives the same clusters. Memory: the square of the rows.
    """
    near = vectors @ vectors.T >= alike_from
    is_free = np.ones(len(vectors), dtype=bool)
    clusters: list[Cluster] = []
    while is_free.any():
        neighbours = (near & is_free).sum(axis=1) * is_free
        seed = int(neighbours.argmax())
        if neighbours[seed] < fewest:
            break
        centre = vectors[near[seed] & is_free].mean(axis=0)
        closeness = vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-12))
        rows = np.flatnonzero((closeness >= alike_from) & is_free)
        is_free[seed] = False  # whatever its centre has become: each turn ends one seed
        if len(rows) < fewest:
            continue
        is_free[rows] = False
        typical = rows[np.argsort(-closeness[rows], kind="stable")]
        clusters.append(
            Cluster(tuple(int(row) for row in typical), sum(weights[row] for row in rows))
        )
    return sorted(clusters, key=lambda one: (-one.weight, one.rows))
