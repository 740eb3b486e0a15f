"""Clusters of queries that no intent fits."""

import numpy as np

from annotation.clusters import find_clusters
from contracts.records import Vectors


def round_about(*centres: int, each: int, spread: float = 0.05, dims: int = 32) -> Vectors:
    """Unit vectors, `each` round each of the axes named, in the order of their axes."""
    random = np.random.default_rng(7)
    rows = []
    for axis in centres:
        noise = random.normal(scale=spread, size=(each, dims))
        noise[:, axis] += 1
        rows.append(noise)
    vectors = np.concatenate(rows)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_what_belongs_together_is_found_and_the_rest_is_left_out() -> None:
    vectors = np.concatenate([round_about(0, 1, each=5), round_about(2, 3, 4, each=1)])
    clusters = find_clusters(vectors, weights=[1] * len(vectors))
    assert [sorted(one.rows) for one in clusters] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_what_is_asked_most_comes_first() -> None:
    vectors = round_about(0, 1, each=4)
    clusters = find_clusters(vectors, weights=[1, 1, 1, 1, 1, 1, 1, 6])
    assert [(sorted(one.rows), one.weight) for one in clusters] == [
        ([4, 5, 6, 7], 9),
        ([0, 1, 2, 3], 4),
    ]


def test_the_most_typical_query_of_a_cluster_comes_first() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 0, 0]].copy()
    vectors[1] = [0.8, 0.6, 0, 0]
    (cluster,) = find_clusters(vectors, weights=[1] * 4)
    assert cluster.rows == (0, 2, 3, 1)


def test_no_query_is_in_two_clusters_and_each_is_near_its_centre() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(300, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = find_clusters(vectors, weights=[1] * 300, alike_from=0.7)
    rows = [row for one in clusters for row in one.rows]
    assert len(rows) == len(set(rows)) > 100
    assert all(len(one.rows) >= 3 for one in clusters)
    assert clusters == find_clusters(vectors, weights=[1] * 300, alike_from=0.7)


def test_two_queries_or_none_make_no_cluster() -> None:
    assert find_clusters(round_about(0, each=2), weights=[1, 1]) == []
    assert find_clusters(np.empty((0, 8), dtype=np.float32), weights=[]) == []
