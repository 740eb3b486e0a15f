"""The project's own queries: enough, valid, and no copies of those that judge."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from contracts.outcome import OUT_OF_SCOPE
from contracts.records import Vectors
from models.encoder import Encoder
from training.evaluate import read_golden
from training.examples import INTENTS_FILE, QUERIES_FILE, Example, read_examples, read_labels

TESTS = Path(__file__).resolve().parent.parent
NEAR_DUPLICATE_OF_GOLDEN = 0.85


@pytest.fixture(scope="module")
def labels() -> tuple[str, ...]:
    return read_labels()


@pytest.fixture(scope="module")
def queries(labels: tuple[str, ...]) -> list[Example]:
    return read_examples(QUERIES_FILE, labels=labels)


@pytest.fixture(scope="module")
def golden() -> list[Example]:
    return read_golden(TESTS / "golden_queries.json")


@pytest.fixture(scope="module")
def blind() -> list[Example]:
    rows = (TESTS / "blind_queries.jsonl").read_text().splitlines()
    return [Example(**json.loads(row)) for row in rows]


def test_there_are_twenty_two_intents_with_description_and_examples() -> None:
    intents = yaml.safe_load(INTENTS_FILE.read_text())["intents"]
    assert len(intents) == 22
    assert all(intent["description"] and len(intent["examples"]) >= 2 for intent in intents)


def test_there_are_enough_queries_of_every_intent(
    queries: list[Example], labels: tuple[str, ...]
) -> None:
    counts = Counter(query.intent for query in queries)
    assert len(queries) >= 2_600
    assert set(counts) == set(labels)
    assert min(counts.values()) >= 100
    assert counts[OUT_OF_SCOPE] >= 300


def test_queries_are_not_one_template_multiplied(queries: list[Example]) -> None:
    for intent, examples in _by_intent(queries).items():
        starts = Counter(" ".join(e.text.lower().split()[:2]) for e in examples)
        start, times = starts.most_common(1)[0]
        assert times <= 0.05 * len(examples), f"{times} of {intent} begin with {start!r}"


def test_queries_are_short_and_long_as_students_write(queries: list[Example]) -> None:
    words = sorted(len(query.text.split()) for query in queries)
    assert words[len(words) // 2] <= 12
    assert sum(count > 25 for count in words) / len(words) >= 0.05
    assert sum(count <= 3 for count in words) / len(words) >= 0.05
    assert max(len(query.text) for query in queries) <= 2_000


def test_the_golden_set_has_fifty_queries_and_two_of_each_intent(
    golden: list[Example], labels: tuple[str, ...]
) -> None:
    counts = Counter(query.intent for query in golden)
    assert len({query.digest for query in golden}) == 50
    assert set(counts) == set(labels)
    assert min(counts.values()) >= 2


def test_the_blind_set_has_two_hundred_queries_of_every_intent(
    blind: list[Example], labels: tuple[str, ...]
) -> None:
    assert len({query.digest for query in blind}) == 200
    assert {query.intent for query in blind} == set(labels)


def test_no_golden_query_is_a_near_duplicate_of_a_training_query(
    queries: list[Example], golden: list[Example], encoder: Encoder, training_vectors: Vectors
) -> None:
    likeness = encoder.encode([query.text for query in golden]) @ training_vectors.T
    worst = likeness.max(axis=1)
    near = [
        (golden[row].text, queries[int(likeness[row].argmax())].text)
        for row in range(len(golden))
        if worst[row] > NEAR_DUPLICATE_OF_GOLDEN
    ]
    assert near == []


def test_no_blind_or_golden_query_is_trained_on(
    queries: list[Example], golden: list[Example], blind: list[Example]
) -> None:
    trained = {query.digest for query in queries}
    assert [query.text for query in golden + blind if query.digest in trained] == []


def _by_intent(queries: list[Example]) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {}
    for query in queries:
        found.setdefault(query.intent, []).append(query)
    return found
