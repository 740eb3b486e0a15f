"""What a folder adds to the artifact store: drafts, a clock, and other processes."""

import multiprocessing
from pathlib import Path

import pytest

from store.artifacts import ArtifactExists, FolderStore


def test_a_generation_rises_even_when_the_clock_stands_still(
    folder: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.artifacts.time.time_ns", lambda: 1)
    generation = folder.create("a", b"0")
    for content in (b"1", b"2", b"3"):
        later = folder.replace("a", content, expected=generation)
        assert later > generation
        generation = later


def test_drafts_are_not_listed(folder: FolderStore) -> None:
    folder.create("models/v3/a", b"")
    (folder.root / "models" / ".draft-x").write_bytes(b"half")
    assert folder.keys("models/") == ["models/v3/a"]


def test_nothing_is_left_beside_what_was_written(folder: FolderStore) -> None:
    folder.create("a", b"1")
    folder.replace("a", b"2", expected=folder.read("a").generation)
    assert sorted(path.name for path in folder.root.iterdir()) == [".lock", "a"]


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
