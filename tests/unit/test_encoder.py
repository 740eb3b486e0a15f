"""An embedding is the same embedding every time."""

import json
from pathlib import Path

import numpy as np
import pytest

from contracts.records import Vectors
from models.encoder import Encoder, VectorSpace
from training.export_encoder import encoder_space, export_encoder

QUERIES = [
    "help",
    "how do i appeal a grade",
    "where can i park overnight near the stadium, and what does it cost",
    "👋🏽",
    "مرحبا أين المكتبة",
    "so my mom called and she says the bill went up again, anyway can i still get a refund for the"
    " class that i dropped in week two, or is it too late for that now",
    "library " * 120,
    "?",
]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [f"{QUERIES[number % len(QUERIES)]} {number}" for number in range(32)]


@pytest.fixture(scope="module")
def alone(encoder: Encoder, texts: list[str]) -> Vectors:
    return np.vstack([encoder.encode([text]) for text in texts])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 16, 21, 31, 32])
def test_a_vector_does_not_depend_on_its_batch(
    encoder: Encoder, texts: list[str], alone: Vectors, size: int
) -> None:
    # Straight through the graph, unsorted: short texts are padded to the longest of the batch.
    worst = 0.0
    for start in range(0, len(texts) - size + 1, size):
        batch = encoder.finish(encoder.run(encoder.prepare(texts[start : start + size])))
        cosines = np.sum(batch.astype(np.float64) * alone[start : start + size], axis=1)
        norms = np.linalg.norm(batch.astype(np.float64), axis=1) * np.linalg.norm(
            alone[start : start + size].astype(np.float64), axis=1
        )
        worst = max(worst, float(np.abs(1 - cosines / norms).max()))
    assert worst <= 1e-5


def test_vectors_are_unit_float32_in_the_order_of_the_texts(
    encoder: Encoder, texts: list[str], alone: Vectors
) -> None:
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (32, encoder.space.dims)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors, alone, atol=1e-5)


def test_alike_questions_are_near_and_others_far(encoder: Encoder) -> None:
    appeal, dispute, pizza = encoder.encode(
        ["how do i appeal a grade", "dispute the mark i got in a class", "best pizza in town"]
    )
    assert appeal @ dispute > 0.5
    assert appeal @ pizza < 0.2


def test_the_space_is_that_of_the_code_and_its_name_covers_every_field(encoder: Encoder) -> None:
    assert encoder.space == encoder_space()
    assert encoder.space.dims == 384
    assert len(encoder.space.fingerprint) == 16


def test_an_exported_encoder_is_not_exported_again(hub_home: Path) -> None:
    assert export_encoder(hub_home / "encoder") is False


def test_a_space_file_names_every_field(hub_home: Path) -> None:
    fields = json.loads((hub_home / "encoder" / "space.json").read_text())
    assert VectorSpace(**fields) == VectorSpace.read(hub_home / "encoder")
