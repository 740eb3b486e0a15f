"""The drifted world: every intent on both sides, and no query that was seen anywhere before."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from contracts.outcome import OUT_OF_SCOPE
from contracts.records import Vectors
from contracts.settings import DATA
from models.encoder import Encoder
from store.redaction import redact
from training.evaluate import read_golden
from training.examples import QUERIES_FILE, Example, read_examples, read_labels
from training.split import NEAR_DUPLICATE

TESTS = Path(__file__).resolve().parent.parent
DRIFT = DATA / "drift"
LEAST = {"label": 640, "held_out": 320}
LEAST_OF_AN_INTENT = {"label": 25, "held_out": 12}


@pytest.fixture(scope="module")
def sides() -> dict[str, list[Example]]:
    labels = read_labels()
    return {side: read_examples(DRIFT / f"{side}.jsonl", labels=labels) for side in LEAST}


@pytest.fixture(scope="module")
def trained() -> list[Example]:
    return read_examples(QUERIES_FILE, labels=read_labels())


@pytest.fixture(scope="module")
def judging() -> list[Example]:
    """Every other query of the project."""
    health = json.loads((DATA / "health_queries.json").read_text())
    blind = (TESTS / "blind_queries.jsonl").read_text().splitlines()
    return [
        *read_golden(TESTS / "golden_queries.json"),
        *(Example(**json.loads(row)) for row in blind),
        *(Example(row["text"], row["intent"]) for row in health),
    ]


@pytest.mark.parametrize("side", LEAST)
def test_each_side_is_large_enough_and_has_every_intent(
    side: str, sides: dict[str, list[Example]]
) -> None:
    counts = Counter(example.intent for example in sides[side])
    assert counts.total() >= LEAST[side]
    assert set(counts) == set(read_labels())
    assert min(counts.values()) >= LEAST_OF_AN_INTENT[side]
    assert 0.08 <= counts[OUT_OF_SCOPE] / counts.total() <= 0.12


@pytest.mark.parametrize("side", LEAST)
def test_queries_are_short_and_long_as_students_write_them(
    side: str, sides: dict[str, list[Example]]
) -> None:
    words = sorted(len(example.text.split()) for example in sides[side])
    assert words[len(words) // 2] <= 12
    assert sum(count > 25 for count in words) >= 0.05 * len(words)
    assert sum(count <= 3 for count in words) >= 0.05 * len(words)


@pytest.mark.parametrize("side", LEAST)
def test_queries_hold_nothing_personal(side: str, sides: dict[str, list[Example]]) -> None:
    assert [e.text for e in sides[side] if redact(e.text) != e.text] == []


def test_no_drifted_query_is_any_other_query_of_the_project(
    sides: dict[str, list[Example]], trained: list[Example], judging: list[Example]
) -> None:
    digests = {example.digest for example in trained + judging}
    assert [e.text for side in sides.values() for e in side if e.digest in digests] == []
    assert {e.digest for e in sides["label"]} & {e.digest for e in sides["held_out"]} == set()


def test_no_drifted_query_is_a_near_duplicate_of_another(
    sides: dict[str, list[Example]],
    trained: list[Example],
    judging: list[Example],
    encoder: Encoder,
    training_vectors: Vectors,
) -> None:
    drifted = [*sides["held_out"], *sides["label"]]
    vectors = encoder.encode([example.text for example in drifted])
    within = vectors @ vectors.T
    np.fill_diagonal(within, 0.0)
    assert _near(within, drifted, drifted) == []
    assert _near(vectors @ training_vectors.T, drifted, trained) == []
    likeness = vectors @ encoder.encode([example.text for example in judging]).T
    assert _near(likeness, drifted, judging) == []


def _near(
    likeness: Vectors, rows: list[Example], columns: list[Example]
) -> list[tuple[str, str, float]]:
    return [
        (example.text, columns[int(like.argmax())].text, round(float(like.max()), 3))
        for example, like in zip(rows, likeness, strict=True)
        if like.max() > NEAR_DUPLICATE
    ]
