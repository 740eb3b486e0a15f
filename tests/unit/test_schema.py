"""contracts/schema/ says what contracts/messages.py says."""

import json
from pathlib import Path

import jsonschema
import pytest

from scripts.write_schema import SCHEMA, drift, main, schema_texts, write


def test_the_schema_files_are_those_of_the_messages() -> None:
    assert drift() == {}, "run `python -m scripts.write_schema`, and commit what it writes"


@pytest.mark.parametrize("name", schema_texts())
def test_each_file_is_json_schema_of_draft_2020_12(name: str) -> None:
    schema = json.loads((SCHEMA / name).read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_request_is_closed_and_an_answer_is_open() -> None:
    for name, text in schema_texts().items():
        closed = json.loads(text).get("additionalProperties") is False
        assert closed is name.endswith("-request.json"), name


def test_every_difference_is_found_named_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(write(tmp_path).values()) == {"new"}
    assert main(["--check"], folder=tmp_path) == 0
    (tmp_path / "hints.json").unlink()
    (tmp_path / "problem.json").write_text("{}")
    (tmp_path / "stray.json").write_text("{}")
    found = {"hints.json": "new", "problem.json": "changed", "stray.json": "no longer a message"}
    assert drift(tmp_path) == found
    assert main(["--check"], folder=tmp_path) == 1
    said = capsys.readouterr().out
    assert all(f"{name}: {how}" in said for name, how in found.items())
    assert drift(tmp_path) == found, "a check writes nothing"
    assert main([], folder=tmp_path) == 0
    assert drift(tmp_path) == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(schema_texts())
