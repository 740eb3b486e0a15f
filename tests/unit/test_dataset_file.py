"""A file of labelled queries that somebody brings."""

import json
from pathlib import Path

import pytest

from contracts.errors import DataError
from training.dataset_file import DatasetRow, read_dataset
from training.examples import Example


def write(tmp_path: Path, content: str) -> Path:
    file = tmp_path / "queries.jsonl"
    file.write_text(content)
    return file


def test_json_lines_with_any_intents_are_read_in_order(tmp_path: Path) -> None:
    lines = ['{"text": "hi", "intent": "greeting"}', '{"text": "a", "intent": "b", "side": "test"}']
    assert read_dataset(write(tmp_path, "\n".join(lines))) == [
        DatasetRow(Example("hi", "greeting")),
        DatasetRow(Example("a", "b"), "test"),
    ]


def test_one_line_alone_is_still_json_lines(tmp_path: Path) -> None:
    assert len(read_dataset(write(tmp_path, '{"text": "hi", "intent": "greeting"}'))) == 1


def test_clinc150_keeps_the_sides_that_its_authors_chose(tmp_path: Path) -> None:
    document = {
        name: [[f"{name} query", "oos" if name.startswith("oos") else "pto"]]
        for name in ("train", "val", "test", "oos_train", "oos_val", "oos_test")
    }
    rows = read_dataset(write(tmp_path, json.dumps(document)))
    assert [(row.example.intent, row.side) for row in rows] == [
        ("pto", "train"),
        ("out_of_scope", "train"),
        ("pto", "validation"),
        ("out_of_scope", "validation"),
        ("pto", "test"),
        ("out_of_scope", "test"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it has no rows"),
        ("hello", 'line 1 is no JSON object with "text" and "intent"'),
        ("[1, 2]", "line 1 is no JSON object"),
        ('{"text": "hi"}\n', "line 1 is no JSON object"),
        ('{"text": " ", "intent": "a"}', "line 1 has no text"),
        ('{"text": "hi", "intent": ""}', "line 1 has no intent"),
        ('{"text": 7, "intent": "a"}', "line 1 has no text"),
        ('{"text": "hi", "intent": "a", "side": "dev"}', "line 1 has the side 'dev'"),
        ('{"train": []}', "no rows"),
        ("x\n" * 25, "and 15 more"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_trained(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Nothing was trained") as refused:
        read_dataset(write(tmp_path, content))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_dataset(tmp_path / "nowhere.jsonl")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_dataset(binary)
