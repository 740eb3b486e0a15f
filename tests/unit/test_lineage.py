"""What one version hands on to the next."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, DataError
from contracts.text import digest
from store.artifacts import FolderStore
from store.registry import Manifest, Registry
from training.examples import Example, read_labels
from training.lineage import (
    assigned,
    carried_over,
    examples_of,
    judging_texts,
    read_retired,
    used_by,
)
from training.split import Side

GYM, PIZZA, BOOK = (
    Example("where is the gym", "student_life"),
    Example("pizza on campus?", "dining"),
    Example("renew my book", "library"),
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(FolderStore(tmp_path / "artifacts"))


def publish(registry: Registry, tmp_path: Path, sides: dict[Side, list[Example]]) -> str:
    folder = tmp_path / f"candidate-{len(registry.versions())}"
    folder.mkdir()
    manifest = Manifest(
        kind="k", labels=("library",), temperature=1.0, backbone="b", dataset={}, split={},
        seed=1, recipe="r", created_at=datetime.now(UTC),
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    assignment = {e.digest: side for side, examples in sides.items() for e in examples}
    (folder / "split.json").write_text(json.dumps({"assignment": assignment}))
    for side in ("train", "validation", "test"):
        rows = [json.dumps({"text": e.text, "intent": e.intent}) for e in sides.get(side, [])]
        (folder / f"{side}.jsonl").write_text("".join(f"{row}\n" for row in rows))
    return registry.publish(folder)


def test_a_version_hands_on_its_examples_by_side(registry: Registry, tmp_path: Path) -> None:
    version = publish(registry, tmp_path, {"train": [GYM], "test": [PIZZA]})
    assert examples_of(registry, version, cache_dir=tmp_path) == {
        "train": [GYM],
        "validation": [],
        "test": [PIZZA],
    }
    assert used_by(registry, version, cache_dir=tmp_path) == {GYM.digest, PIZZA.digest}
    assert used_by(registry, None, cache_dir=tmp_path) == set()


def test_what_judges_any_version_is_on_the_test_side_for_ever(
    registry: Registry, tmp_path: Path
) -> None:
    publish(registry, tmp_path, {"train": [GYM], "test": [PIZZA]})
    publish(registry, tmp_path, {"train": [PIZZA, BOOK], "test": [GYM]})
    assert assigned(registry, cache_dir=tmp_path) == {
        GYM.digest: "test",
        PIZZA.digest: "test",
        BOOK.digest: "train",
    }
    assert judging_texts(registry, cache_dir=tmp_path) == [PIZZA.text, GYM.text]


def test_an_older_version_without_its_examples_is_named(registry: Registry, tmp_path: Path) -> None:
    version = publish(registry, tmp_path, {"train": [GYM]})
    manifest = tmp_path / "artifacts" / "models" / version / "manifest.json"
    document = json.loads(manifest.read_text())
    del document["files"]["train.jsonl"]
    manifest.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"train\.jsonl"):
        examples_of(registry, version, cache_dir=tmp_path)


def test_a_retired_intent_hands_its_examples_to_its_successor_or_to_nobody() -> None:
    retired = {"gym": "student_life", "fax": None}
    examples = [Example("squash court", "gym"), Example("send a fax", "fax"), BOOK]
    kept = carried_over(examples, labels=("student_life", "library"), retired=retired)
    assert kept == [Example("squash court", "student_life"), BOOK]


def test_an_intent_that_nobody_accounts_for_stops_the_training() -> None:
    with pytest.raises(DataError, match="the intent gym"):
        carried_over([Example("squash", "gym")], labels=("library",), retired={})


def test_the_projects_own_retired_intents_are_consistent() -> None:
    assert not set(read_retired()) & set(read_labels())


@pytest.mark.parametrize(
    ("retired", "said"),
    [("{library: null}", "in use"), ("{gym: swimming}", "which is no intent")],
)
def test_a_retired_intent_that_makes_no_sense_is_refused(
    retired: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "intents.yaml"
    file.write_text(f"intents: [{{name: library}}]\nretired: {retired}\n")
    with pytest.raises(DataError, match=said):
        read_retired(file)


def test_digests_are_of_the_normalised_text() -> None:
    assert GYM.digest == digest("  WHERE is the gym ")
