"""What a retraining's folder keeps of a person's texts goes with the person."""

import json
from pathlib import Path

from contracts.text import digest
from store.erased_runs import VECTORS, erase_from_runs

HERS, HIS = "the lift talks to me", "the bus never comes"


def make_run(root: Path, name: str, *texts: str) -> Path:
    candidate = root / name / "candidate"
    candidate.mkdir(parents=True)
    rows = "".join(json.dumps({"text": text, "intent": "housing"}) + "\n" for text in texts)
    (root / name / "labels.jsonl").write_text(rows)
    (candidate / "train.jsonl").write_text(rows)
    (root / name / "split.json").write_text(json.dumps({"counts": {"train": len(texts)}}))
    (candidate / "split.json").write_text(
        json.dumps({"assignment": {digest(text): "train" for text in texts}})
    )
    (root / name / VECTORS).write_bytes(b"vectors")
    return root / name


def test_her_texts_leave_every_file_of_every_run_and_his_stay(tmp_path: Path) -> None:
    with_her = make_run(tmp_path, "one", HERS, HIS)
    without_her = make_run(tmp_path, "two", HIS)
    gone = erase_from_runs(tmp_path, {digest(HERS)})
    assert gone == {
        "one/candidate/split.json": 1,
        "one/candidate/train.jsonl": 1,
        "one/labels.jsonl": 1,
    }
    assert HERS not in "".join(file.read_text() for file in tmp_path.rglob("*.json*"))
    assert HIS in (with_her / "labels.jsonl").read_text()
    assert not (with_her / VECTORS).exists()
    assert (without_her / VECTORS).exists()
    assert not list(tmp_path.rglob(".draft-*"))
    assert erase_from_runs(tmp_path, {digest(HERS)}) == {}


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, "one", HERS)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert sum(erase_from_runs(tmp_path, {digest(HERS)}, dry_run=True).values()) == 3
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_a_hub_that_never_retrained_has_nothing_to_erase(tmp_path: Path) -> None:
    assert erase_from_runs(tmp_path / "retraining", {digest(HERS)}) == {}
