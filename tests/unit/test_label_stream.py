"""The label benchmark: traffic as skewed as told, and ways to choose that choose what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.label_efficiency import BATCH, LABELS, choose_by_queue, choose_randomly
from benchmarks.label_stream import Labelled, LinearHead, read_clinc, replay
from contracts.errors import DataError
from tests.tiny_encoder import make_tiny_encoder

INTENTS = 30
TEXTS = 60


@pytest.fixture(scope="module")
def texts() -> Labelled:
    """Thirty intents that overlap, sixty texts each."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(INTENTS, 24))
    vectors = np.repeat(centres, TEXTS, axis=0) + random.normal(size=(INTENTS * TEXTS, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Labelled(
        tuple(f"text {number}" for number in range(INTENTS * TEXTS)),
        vectors.astype(np.float32),
        np.repeat(np.arange(INTENTS), TEXTS),
    )


def test_a_collection_is_embedded_once_and_kept(tmp_path: Path) -> None:
    rows = {"train": [["pay my bill", "pay_bill"], ["My Bill", "pay_bill"], ["a loan", "loan"]]}
    rows["test"] = [["the loan", "loan"]]
    (tmp_path / "data_full.json").write_text(json.dumps(rows))
    encoder = make_tiny_encoder(tmp_path / "encoder", texts=[text for text, _ in rows["train"]])
    cache = tmp_path / "kept.npz"
    first = read_clinc(tmp_path, encoder_dir=encoder, cache=cache)
    assert first.train.texts == ("pay my bill", "my bill", "a loan")
    assert first.train.intents.tolist() == [1, 1, 0]
    again = read_clinc(tmp_path, encoder_dir=tmp_path / "not there", cache=cache)
    assert np.array_equal(first.train.vectors, again.train.vectors)
    assert np.array_equal(first.test.vectors, again.test.vectors)
    (tmp_path / "data_full.json").write_text(json.dumps(rows | {"test": rows["train"]}))
    with pytest.raises(DataError, match="other texts"):
        read_clinc(tmp_path, encoder_dir=encoder, cache=cache)


def test_intents_come_by_zipfs_law_and_a_seed_gives_the_same_stream(texts: Labelled) -> None:
    stream = replay(texts, interactions=20_000, skew=1.0, seed=3)
    assert np.array_equal(stream, replay(texts, interactions=20_000, skew=1.0, seed=3))
    assert not np.array_equal(stream, replay(texts, interactions=20_000, skew=1.0, seed=4))
    counts = np.sort(np.bincount(texts.intents[stream], minlength=INTENTS))[::-1]
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_a_head_is_surer_where_it_is_right(texts: Labelled) -> None:
    head = LinearHead(texts, np.arange(0, len(texts.texts), 3))
    sure = head.confidences(texts.vectors)
    assert sure.shape == (len(texts.texts),)
    assert sure.min() >= 0
    assert sure.max() <= 1
    assert abs(float(sure.mean()) - head.accuracy(texts)) < 0.1


def test_each_way_labels_what_was_asked_and_nothing_twice(texts: Labelled) -> None:
    stream = replay(texts, interactions=4000, skew=1.0, seed=0)
    random = choose_randomly(texts, stream, 0, labels=LABELS)
    queue = choose_by_queue(texts, stream, 0)
    assert len(random) == LABELS
    # The queue has nothing more to ask once the head is sure of the rest.
    assert LABELS // 2 < len(queue) <= LABELS
    for rows in (random, queue):
        assert len(rows) == len(set(rows))
        assert set(rows) <= set(stream.tolist())
    # The first batch was chosen from the first part of the stream: nothing else was there yet.
    assert set(queue[:BATCH]) <= set(stream[: len(stream) * BATCH // LABELS].tolist())
    assert len(set(texts.intents[queue])) >= len(set(texts.intents[random]))
