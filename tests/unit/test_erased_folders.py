"""What a retraining's folder keeps of a person's texts goes with the person."""

import json
from pathlib import Path

import numpy as np

from contracts.text import digest
from store.erased_examples import VECTORS
from store.erased_folders import erase_from_folders

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
    np.savez(
        root / name / VECTORS,
        space=np.array("s"),
        digests=np.array([digest(text) for text in texts]),
        vectors=np.eye(len(texts), dtype=np.float16),
    )
    return root / name


def digests_in(run: Path) -> list[str]:
    with np.load(run / VECTORS) as kept:
        assert len(kept["vectors"]) == len(kept["digests"])
        return list(kept["digests"].tolist())


def test_her_texts_leave_every_file_of_every_run_and_his_stay(tmp_path: Path) -> None:
    with_her = make_run(tmp_path, "one", HERS, HIS)
    without_her = make_run(tmp_path, "two", HIS)
    gone = erase_from_folders(tmp_path, {digest(HERS)})
    assert gone == {
        "one/candidate/split.json": 1,
        "one/candidate/train.jsonl": 1,
        "one/labels.jsonl": 1,
        "one/vectors.npz": 1,
    }
    assert HERS not in "".join(file.read_text() for file in tmp_path.rglob("*.json*"))
    assert HIS in (with_her / "labels.jsonl").read_text()
    assert digests_in(with_her) == digests_in(without_her) == [digest(HIS)]
    assert not list(tmp_path.rglob(".draft-*"))
    assert erase_from_folders(tmp_path, {digest(HERS)}) == {}


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, "one", HERS)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert sum(erase_from_folders(tmp_path, {digest(HERS)}, dry_run=True).values()) == 4
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_a_hub_that_never_retrained_has_nothing_to_erase(tmp_path: Path) -> None:
    assert erase_from_folders(tmp_path / "retraining", {digest(HERS)}) == {}
