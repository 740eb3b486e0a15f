"""Vectors are computed once, and handed on."""

from pathlib import Path

import numpy as np
import pytest

from contracts.text import digest
from models.encoder import Encoder
from tests.tiny_encoder import make_tiny_encoder
from training.vectors import FILE, KnownVectors

TEXTS = ["where is the gym", "pizza on campus", "renew my book"]


class Counting(Encoder):
    """Counts what it is asked to encode."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return super().encode(texts)


@pytest.fixture
def encoder(tmp_path: Path) -> Counting:
    return Counting(make_tiny_encoder(tmp_path / "encoder", texts=TEXTS))


def test_each_text_is_embedded_once_and_comes_back_in_order(encoder: Counting) -> None:
    known = KnownVectors(encoder)
    first = known.encode([TEXTS[0], TEXTS[1], TEXTS[0]])
    again = known.encode([TEXTS[1], TEXTS[0].upper()])
    assert encoder.asked == [TEXTS[0], TEXTS[1]] or sorted(encoder.asked) == sorted(TEXTS[:2])
    assert np.array_equal(first[[1, 0]], again)
    assert np.array_equal(first[0], first[2])


def test_what_was_written_is_read_to_the_bit_and_only_what_was_named(
    encoder: Counting, tmp_path: Path
) -> None:
    known = KnownVectors(encoder)
    vectors = known.encode(TEXTS)
    known.write(tmp_path / FILE, digests=[digest(text) for text in TEXTS[:2]])
    encoder.asked.clear()
    read = KnownVectors(encoder)
    read.read(tmp_path / FILE)
    assert np.array_equal(read.encode(TEXTS), vectors)
    assert encoder.asked == [TEXTS[2]]


def test_rounding_moves_no_vector_by_more_than_a_thousandth(encoder: Counting) -> None:
    exact, rounded = encoder.encode(TEXTS), KnownVectors(encoder).encode(TEXTS)
    assert np.abs(1 - (exact * rounded).sum(axis=1)).max() < 1e-3


def test_vectors_of_another_space_are_not_taken(encoder: Counting, tmp_path: Path) -> None:
    other = make_tiny_encoder(tmp_path / "other", texts=TEXTS, fingerprint="another", seed=1)
    stranger = KnownVectors(Encoder(other))
    stranger.encode(TEXTS)
    stranger.write(tmp_path / FILE)
    known = KnownVectors(encoder)
    known.read(tmp_path / FILE)
    known.encode(TEXTS)
    assert sorted(encoder.asked) == sorted(TEXTS)


def test_nothing_known_is_a_file_too_and_a_missing_file_is_nothing(
    encoder: Counting, tmp_path: Path
) -> None:
    KnownVectors(encoder).write(tmp_path / FILE)
    known = KnownVectors(encoder)
    known.read(tmp_path / FILE)
    known.read(tmp_path / "nowhere.npz")
    assert len(known.encode([TEXTS[0]])) == 1
