"""Near-duplicates and akin texts: found block by block, as if all cosines were there at once."""

import numpy as np
import pytest

from annotation import folding
from annotation.folding import AKIN_FROM, SAME_FROM, fold, nearest


def directions(texts: int, *, seed: int = 0) -> np.ndarray:
    """Unit vectors about thirty matters, some of them near-duplicates."""
    random = np.random.default_rng(seed)
    made = random.normal(size=(30, 16))[random.integers(30, size=texts)]
    made = made + random.normal(size=made.shape) * 0.3
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 512])
def test_groups_and_counts_are_those_of_all_cosines_at_once(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(folding, "_BLOCK", block)
    vectors = directions(400)
    weights = np.random.default_rng(1).integers(1, 9, size=400).astype(np.float64)
    cosines = vectors @ vectors.T
    found = fold(vectors, weights=weights)
    assert sorted(np.concatenate(found.groups).tolist()) == list(range(400))
    free = set(range(400))
    for leader in np.argsort(-weights, kind="stable").tolist():
        if leader in free:
            free -= set(np.flatnonzero(cosines[leader] >= SAME_FROM).tolist()) | {leader}
    assert not free
    for group, akin in zip(found.groups, found.akin, strict=True):
        assert (cosines[group[0], group] >= SAME_FROM - 1e-5).all()
        assert weights[group[0]] == weights[group].max()
        assert akin == pytest.approx(weights[cosines[group[0]] >= AKIN_FROM].sum())


def test_no_texts_make_no_groups() -> None:
    found = fold(np.zeros((0, 16), np.float32), weights=np.zeros(0))
    assert found.groups == []
    assert found.akin.shape == (0,)


@pytest.mark.parametrize("block", [1, 7, 512])
def test_the_nearest_is_found_and_of_none_there_is_none(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(folding, "_BLOCK", block)
    vectors, known = directions(50), directions(20, seed=1)
    cosines, rows = nearest(vectors, to=known)
    assert rows.tolist() == (vectors @ known.T).argmax(axis=1).tolist()
    assert cosines == pytest.approx((vectors @ known.T).max(axis=1), abs=1e-6)
    cosines, rows = nearest(vectors, to=known[:0])
    assert set(cosines.tolist()) == {0.0}
    assert set(rows.tolist()) == {-1}
