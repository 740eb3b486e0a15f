"""Reading nodes from a file: the good are read, the bad are named with their row."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DataError
from store.knowledge_file import KnowledgeFile, read_knowledge

GOOD: dict[str, Any] = {
    "id": "gown",
    "title": "Cap and gown",
    "body": "Order by week 6.",
    "url": "https://www.alderridge.example/gown",
    "intent": "graduation",
    "tags": ["cap", "gown", "cap"],
    "updated": "2026-02-01",
}


def _file(folder: Path, text: str) -> Path:
    file = folder / "nodes.json"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("as_lines", [True, False])
def test_arrays_and_lines_are_read_alike(tmp_path: Path, as_lines: bool) -> None:
    rows = [GOOD, {**GOOD, "id": "second", "tags": []}]
    text = "\n\n".join(map(json.dumps, rows)) + "\n" if as_lines else json.dumps(rows, indent=1)
    read = read_knowledge(_file(tmp_path, "\ufeff" + text))
    assert [node.id for node in read.nodes] == ["gown", "second"]
    assert read.nodes[0].tags == ("cap", "gown")
    assert read.bad == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "a b"}, "id"),
        ({"id": None}, "id"),
        ({"title": "  "}, "title"),
        ({"body": ""}, "body"),
        ({"body": "\u200b"}, "body: nothing in it can be seen"),
        ({"body": "a\x00b"}, "control character"),
        ({"title": "half \ud83d"}, ""),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"intent": "astrology"}, "none of data/intents.yaml"),
        ({"tags": "cap"}, "tags"),
        ({"tags": ["x" * 65]}, "tags.0"),
        ({"tgas": []}, "tgas"),
        ({"updated": "yesterday"}, "updated"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_are_read(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    rows = [GOOD, {**GOOD, "id": "bad", **changes}, {**GOOD, "id": "third"}]
    read = read_knowledge(_file(tmp_path, json.dumps(rows)), intents={"graduation"})
    assert [node.id for node in read.nodes] == ["gown", "third"]
    (bad,) = read.bad
    assert bad.place == "row 2"
    assert reason in bad.reason


def test_a_missing_field_a_repeated_id_and_a_row_that_is_no_object_are_bad(tmp_path: Path) -> None:
    without_url = {key: value for key, value in GOOD.items() if key != "url"}
    read = read_knowledge(
        _file(tmp_path, json.dumps([without_url, GOOD, GOOD, "text", None, ["list"]]))
    )
    assert [(bad.place, bad.reason) for bad in read.bad] == [
        ("row 1", "url: Field required"),
        ("row 3", "id: gown is in row 2 already"),
        ("row 4", "no JSON object"),
        ("row 5", "no JSON object"),
        ("row 6", "no JSON object"),
    ]


def test_a_broken_line_is_bad_by_its_line_number(tmp_path: Path) -> None:
    text = f'{json.dumps(GOOD)}\n{{"id": \n\n42\n{json.dumps({**GOOD, "id": "last"})}\n'
    read = read_knowledge(_file(tmp_path, text))
    assert [node.id for node in read.nodes] == ["gown", "last"]
    assert [bad.place for bad in read.bad] == ["row 2", "row 4"]
    assert read.bad[0].reason.startswith("no JSON")


def test_a_file_that_cannot_be_read_is_an_error_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_knowledge(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="no JSON array"):
        read_knowledge(_file(tmp_path, '[{"id": 1}'))
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_knowledge(binary)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_has_no_pages(tmp_path: Path, text: str) -> None:
    assert list(KnowledgeFile(_file(tmp_path, text)).pages()) == []


@pytest.mark.parametrize("as_lines", [True, False])
def test_a_file_is_read_in_pages_whose_ids_differ(tmp_path: Path, as_lines: bool) -> None:
    rows = [{**GOOD, "id": f"n{number}"} for number in (1, 2, 3, 1, 5)]
    text = "\n" + "\n".join(map(json.dumps, rows)) if as_lines else json.dumps(rows)
    pages = list(KnowledgeFile(_file(tmp_path, text), page_rows=2).pages())
    assert [[node.id for node in page.nodes] for page in pages] == [["n1", "n2"], ["n3"], ["n5"]]
    (bad,) = pages[1].bad
    assert bad.place == ("row 5" if as_lines else "row 4")


def test_the_lines_before_one_that_is_no_text_are_read(tmp_path: Path) -> None:
    file = _file(tmp_path, "")
    line = json.dumps(GOOD).encode() + b"\n"
    # More than a reader takes from the file at once.
    file.write_bytes(line + b" " * 100_000 + b"\n\xff\n")
    pages = KnowledgeFile(file, page_rows=1).pages()
    assert [node.id for node in next(pages).nodes] == ["gown"]
    with pytest.raises(DataError, match="not UTF-8"):
        next(pages)
