"""The artifact store on a folder."""

import multiprocessing
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, SettingsError
from store.artifacts import (
    ABSENT,
    ArtifactChanged,
    ArtifactExists,
    ArtifactMissing,
    FolderStore,
    open_store,
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_what_was_created_is_read_back(store: FolderStore) -> None:
    generation = store.create("models/v3/note.txt", b"hello")
    found = store.read("models/v3/note.txt")
    assert (found.content, found.generation) == (b"hello", generation)


def test_a_file_is_created_from_a_file(store: FolderStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    store.create("big", source)
    assert store.read("big").content == source.read_bytes()


def test_a_second_creation_is_refused_and_changes_nothing(store: FolderStore) -> None:
    store.create("a", b"first")
    with pytest.raises(ArtifactExists):
        store.create("a", b"second")
    assert store.read("a").content == b"first"


def test_a_replacement_needs_the_generation_that_was_read(store: FolderStore) -> None:
    first = store.create("a", b"1")
    second = store.replace("a", b"2", expected=first)
    assert second > first
    with pytest.raises(ArtifactChanged):
        store.replace("a", b"3", expected=first)
    assert store.read("a").content == b"2"


def test_a_replacement_can_expect_that_nothing_is_there(store: FolderStore) -> None:
    store.replace("a", b"1", expected=ABSENT)
    with pytest.raises(ArtifactChanged):
        store.replace("a", b"2", expected=ABSENT)


def test_a_generation_rises_even_when_the_clock_stands_still(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.artifacts.time.time_ns", lambda: 1)
    generation = store.create("a", b"0")
    for content in (b"1", b"2", b"3"):
        later = store.replace("a", content, expected=generation)
        assert later > generation
        generation = later


def test_keys_are_listed_by_prefix_without_drafts(store: FolderStore) -> None:
    for key in ("models/v3/a", "models/v10/b", "datasets/c"):
        store.create(key, b"")
    (store.root / "models" / ".draft-x").write_bytes(b"half")
    assert store.keys("models/") == ["models/v10/b", "models/v3/a"]
    assert store.keys("models/v3") == ["models/v3/a"]
    assert store.keys("nothing/") == []


def test_nothing_is_left_beside_what_was_written(store: FolderStore) -> None:
    store.create("a", b"1")
    store.replace("a", b"2", expected=store.read("a").generation)
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "a"]


def test_a_missing_artifact_is_named(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="models/v9/x"):
        store.read("models/v9/x")
    with pytest.raises(ArtifactMissing):
        store.fetch("models/v9/x", tmp_path / "into")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../b", "a//b", ".hidden", "a b"])
def test_a_key_cannot_leave_the_store(store: FolderStore, key: str) -> None:
    with pytest.raises(ArtifactError, match="not a name"):
        store.create(key, b"")


def _create(root: Path, mine: bytes, results: "multiprocessing.Queue[bool]") -> None:
    try:
        FolderStore(root).create("claim", mine)
        results.put(True)
    except ArtifactExists:
        results.put(False)


def test_of_racing_processes_one_creates(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    racers = [
        context.Process(target=_create, args=(tmp_path, bytes([i]), results)) for i in range(4)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(results.get() for _ in racers) == [False, False, False, True]


def test_a_store_that_cannot_be_opened_is_a_setting_to_change() -> None:
    with pytest.raises(SettingsError, match="HUB_ARTIFACTS"):
        open_store("ftp://somewhere")


def test_a_relative_folder_means_the_same_folder_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("artifacts").url == str(tmp_path / "artifacts")


def test_what_is_removed_is_gone_and_may_be_created_anew(store: FolderStore) -> None:
    store.create("a/b", b"1")
    store.remove("a/b")
    store.remove("a/b")
    with pytest.raises(ArtifactMissing):
        store.read("a/b")
    store.create("a/b", b"2")
