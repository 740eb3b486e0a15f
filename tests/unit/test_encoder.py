"""An embedding is the same embedding every time."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from contracts.records import Vectors
from models.encoder import Encoder, VectorSpace
from models.session import open_tokenizer
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


def batch_in_one_run(encoder: Encoder, tokenizer: Tokenizer, texts: list[str]) -> Vectors:
    """Vectors of texts in one run, as they come: short ones padded to the longest."""
    tokens = [tokenizer.encode(text).ids for text in texts]
    ids = np.zeros((len(texts), max(map(len, tokens))), dtype=np.int64)
    for row, found in enumerate(tokens):
        ids[row, : len(found)] = found
    pooled = encoder.run({"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)})
    return encoder.finish(pooled)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 16, 21, 31, 32])
def test_a_vector_does_not_depend_on_its_batch(
    encoder: Encoder, hub_home: Path, texts: list[str], alone: Vectors, size: int
) -> None:
    tokenizer = open_tokenizer(hub_home / "encoder" / "tokenizer.json")
    worst = 0.0
    for start in range(0, len(texts) - size + 1, size):
        stop = start + size
        batch = batch_in_one_run(encoder, tokenizer, texts[start:stop]).astype(np.float64)
        single = alone[start:stop].astype(np.float64)
        norms = np.linalg.norm(batch, axis=1) * np.linalg.norm(single, axis=1)
        worst = max(worst, float(np.abs(1 - np.sum(batch * single, axis=1) / norms).max()))
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
