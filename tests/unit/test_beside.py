"""Which hub runs over a home."""

import json
import os
from pathlib import Path

import pytest

from training.beside import Hub, hub_beside


@pytest.mark.parametrize(
    "said", [None, "{", "{}", '{"pid": 999999999, "dashboard": "http://gone"}']
)
def test_a_hub_that_does_not_run_is_not_asked(tmp_path: Path, said: str | None) -> None:
    if said is not None:
        (tmp_path / "hub.json").write_text(said)
    assert hub_beside(tmp_path) is None


def test_a_hub_that_runs_is_found_with_its_token(tmp_path: Path) -> None:
    said = {"http": "http://a", "dashboard": "http://b", "pid": os.getpid()}
    (tmp_path / "hub.json").write_text(json.dumps(said))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "auth_token").write_text("secret\n")
    assert hub_beside(tmp_path) == Hub("http://a", "http://b", "secret")


def test_the_hub_of_a_head_node_is_found_without_a_process_of_ours(tmp_path: Path) -> None:
    (tmp_path / "hub.json").write_text(json.dumps({"http": "http://a", "dashboard": "http://b"}))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "auth_token").write_text("secret\n")
    assert hub_beside(tmp_path) == Hub("http://a", "http://b", "secret")
