"""CLINC150's file: what is read of it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DataError
from contracts.outcome import OUT_OF_SCOPE
from training.clinc150_json import read_clinc150
from training.examples import Example


def written(tmp_path: Path, **changes: Any) -> Path:
    document = {
        "train": [["open my account", "banking"], ["book a table", "dining"]],
        "oos_train": [["why is the sky blue", "oos"]],
        "val": [["close my account", "banking"]],
        "oos_val": [["who won in 1998", "oos"]],
        "test": [["a table for two", "dining"]],
        "oos_test": [["sing me a song", "oos"], ["what is love", "oos"]],
    }
    file = tmp_path / "data.json"
    file.write_text(json.dumps(document | changes))
    return file


def test_each_side_ends_with_its_out_of_scope_queries(tmp_path: Path) -> None:
    found = read_clinc150(written(tmp_path))
    assert found.labels == ("banking", "dining", OUT_OF_SCOPE)
    assert found.train[-1] == Example("why is the sky blue", OUT_OF_SCOPE)
    assert [len(side) for side in (found.train, found.validation, found.test)] == [3, 2, 3]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"val": None}, 'no rows under "val"'),
        ({"oos_test": []}, 'no rows under "oos_test"'),
        ({"train": [["open my account", "banking"], ["alone"]]}, 'row 2 of "train"'),
        ({"train": [["   ", "banking"]]}, 'row 1 of "train"'),
        ({"train": [{"text": "open my account"}]}, 'row 1 of "train"'),
        ({"test": [["fly me home", "travel"]]}, "test has intents that train lacks: travel"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_clinc150(written(tmp_path, **changes))


@pytest.mark.parametrize("content", ["not JSON", "[]", '"text"', ""])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(content)
    with pytest.raises(DataError, match="Nothing was trained"):
        read_clinc150(file)
