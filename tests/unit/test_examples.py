"""Reading labelled queries, and the recipe that they are part of."""

import json
from pathlib import Path

import pytest

from contracts.errors import DataError
from training.config import TrainingConfig
from training.examples import Example, examples_digest, read_examples, write_examples
from training.first_version import first_recipe

LABELS = ("library", "dining")


def test_examples_come_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    examples = [Example("opening hours", "library"), Example("café ☕ menu", "dining")]
    write_examples(file, examples)
    assert read_examples(file, labels=LABELS) == examples


def test_every_bad_line_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    rows = [
        json.dumps({"text": "opening hours", "intent": "library"}),
        "not json",
        json.dumps({"text": "  ", "intent": "library"}),
        json.dumps({"text": "lunch", "intent": "lunchroom"}),
        json.dumps({"text": "Opening  hours", "intent": "library"}),
        json.dumps({"text": "lunch"}),
    ]
    file.write_text("\n".join(rows))
    with pytest.raises(DataError) as raised:
        read_examples(file, labels=LABELS)
    sentence = str(raised.value)
    for part in ("line 2", "line 3 has no text", "'lunchroom'", "line 5 repeats line 1", "line 6"):
        assert part in sentence
    assert "Nothing was trained" in sentence


def test_a_digest_changes_with_a_label_and_with_the_order() -> None:
    one, two = Example("a", "library"), Example("b", "dining")
    digests = {
        examples_digest([one, two]),
        examples_digest([two, one]),
        examples_digest([one, Example("b", "library")]),
    }
    assert len(digests) == 3


def test_a_recipe_changes_with_data_and_config_and_with_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    write_examples(file, [Example("lost my keys", "campus_safety")])
    first = first_recipe(queries=file)
    assert first == first_recipe(queries=file)
    assert first != first_recipe(queries=file, config=TrainingConfig(seed=18))
    write_examples(file, [Example("lost my card", "campus_safety")])
    assert first != first_recipe(queries=file)


def test_of_redaction_a_recipe_counts_what_it_makes_of_the_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "queries.jsonl"
    write_examples(file, [Example("lost my keys", "campus_safety")])
    first = first_recipe(queries=file)
    monkeypatch.setattr("training.first_version.redact", lambda text: f"{text}")
    assert first == first_recipe(queries=file)
    monkeypatch.setattr("training.first_version.redact", lambda text: text.replace("keys", "[x]"))
    assert first != first_recipe(queries=file)
