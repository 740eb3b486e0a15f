"""Model versions and their champion."""

import hashlib
import threading
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, ChampionMoved
from store.artifacts import ArtifactExists, FolderStore
from store.registry import Registry
from tests.samples import candidate_in


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture
def registry(store: FolderStore) -> Registry:
    return Registry(store)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return candidate_in(tmp_path / "candidate")


class RemoteStore(FolderStore):
    """A folder that pretends to be elsewhere, as a bucket is."""

    def local(self, key: str) -> Path | None:
        return None


def test_an_empty_registry_has_no_versions_and_no_champion(registry: Registry) -> None:
    assert registry.versions() == []
    assert registry.champion() is None
    assert registry.promotions() == []


def test_the_first_version_is_v3_and_the_next_v4(registry: Registry, candidate: Path) -> None:
    assert [registry.publish(candidate) for _ in range(2)] == ["v3", "v4"]
    assert registry.versions() == ["v3", "v4"]


def test_v10_comes_after_v9(registry: Registry, candidate: Path) -> None:
    for _ in range(8):
        registry.publish(candidate)
    assert registry.versions()[-2:] == ["v9", "v10"]


def test_a_manifest_names_the_version_and_every_file(registry: Registry, candidate: Path) -> None:
    manifest = registry.manifest(registry.publish(candidate, gate={"passed": True}))
    assert manifest.version == "v3"
    assert manifest.name == "v3-distilbert-synthetic"
    assert manifest.gate == {"passed": True}
    assert set(manifest.files) == {"model.onnx", "tokenizer.json"}
    assert manifest.files["model.onnx"].sha256 == hashlib.sha256(b"graph").hexdigest()
    assert manifest.files["model.onnx"].bytes == 5
    assert manifest.temperature == 1.25


def test_an_interrupted_publish_is_never_seen_and_its_number_never_used_again(
    registry: Registry, store: FolderStore, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.create

    def dies_before_the_manifest(key: str, content: bytes | Path) -> int:
        if key.endswith("manifest.json"):
            raise KeyboardInterrupt
        return create(key, content)

    monkeypatch.setattr(store, "create", dies_before_the_manifest)
    with pytest.raises(KeyboardInterrupt):
        registry.publish(candidate)
    assert registry.versions() == []
    with pytest.raises(ArtifactError, match="no version v3"):
        registry.manifest("v3")
    monkeypatch.undo()
    assert registry.publish(candidate) == "v4"


def test_two_racing_trainings_make_two_versions(store: FolderStore, candidate: Path) -> None:
    made: list[str] = []
    racers = [
        threading.Thread(target=lambda: made.append(Registry(store).publish(candidate)))
        for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(made) == ["v3", "v4", "v5", "v6"]
    assert Registry(store).versions() == sorted(made)


def test_a_version_is_written_once(registry: Registry, store: FolderStore, candidate: Path) -> None:
    version = registry.publish(candidate)
    with pytest.raises(ArtifactExists):
        store.create(f"models/{version}/model.onnx", b"other")


def test_the_champion_moves_and_every_move_is_remembered(
    registry: Registry, candidate: Path
) -> None:
    for _ in range(2):
        registry.publish(candidate)
    first = registry.move_champion("v3", expected=None, who="ada", why="first")
    assert registry.champion() == first
    registry.move_champion("v4", expected=first, who="ada", why="better")
    registry.move_champion("v3", expected=registry.champion(), who="bob", why="rolled back")
    moves = [(p.sequence, p.previous, p.version, p.who, p.why) for p in registry.promotions()]
    assert moves == [
        (1, None, "v3", "ada", "first"),
        (2, "v3", "v4", "ada", "better"),
        (3, "v4", "v3", "bob", "rolled back"),
    ]


def test_a_champion_that_moved_meanwhile_is_not_moved_again(
    registry: Registry, candidate: Path
) -> None:
    for _ in range(3):
        registry.publish(candidate)
    first = registry.move_champion("v3", expected=None, who="ada", why="first")
    registry.move_champion("v4", expected=first, who="ada", why="better")
    with pytest.raises(ChampionMoved, match="It is v4 and was v3"):
        registry.move_champion("v5", expected=first, who="bob", why="better too")
    with pytest.raises(ChampionMoved):
        registry.move_champion("v5", expected=None, who="bob", why="first too")
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v4"
    assert len(registry.promotions()) == 2


def test_a_version_that_is_not_there_cannot_be_champion(
    registry: Registry, candidate: Path
) -> None:
    registry.publish(candidate)
    with pytest.raises(ArtifactError, match=r"no version v9.*there are v3"):
        registry.move_champion("v9", expected=None, who="ada", why="?")
    assert registry.champion() is None


def test_a_mover_that_dies_before_its_log_entry_leaves_no_gap(
    registry: Registry, store: FolderStore, candidate: Path
) -> None:
    registry.publish(candidate)
    first = registry.move_champion("v3", expected=None, who="ada", why="first")
    (store.root / "models" / "promotions" / "000001.json").unlink()
    assert [p.why for p in registry.promotions()] == ["first"]
    registry.move_champion("v3", expected=first, who="ada", why="second")
    assert [p.why for p in registry.promotions()] == ["first", "second"]
    assert len(store.keys("models/promotions/")) == 2


def test_a_folder_store_gives_its_own_verified_folder(
    registry: Registry, store: FolderStore, candidate: Path, tmp_path: Path
) -> None:
    version = registry.publish(candidate)
    folder = registry.fetch(version, cache_dir=tmp_path / "cache")
    assert folder == store.root / "models" / version
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
@pytest.mark.parametrize("kind", [FolderStore, RemoteStore])
def test_a_damaged_file_is_refused(
    kind: type[FolderStore], candidate: Path, tmp_path: Path, damage: str
) -> None:
    store = kind(tmp_path / "artifacts")
    registry = Registry(store)
    version = registry.publish(candidate)
    file = store.root / "models" / version / "model.onnx"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"grapH" if damage == "changed" else b"gra")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        registry.fetch(version, cache_dir=tmp_path / "cache")


def test_only_the_files_that_are_needed_are_fetched_and_kept(
    candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RemoteStore(tmp_path / "artifacts")
    registry = Registry(store)
    version = registry.publish(candidate)
    folder = registry.fetch(version, cache_dir=tmp_path / "cache", only=["model.onnx"])
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "model.onnx"]
    monkeypatch.setattr(store, "fetch", None)  # a second time nothing is downloaded
    assert registry.fetch(version, cache_dir=tmp_path / "cache", only=["model.onnx"]) == folder
    with pytest.raises(ArtifactError, match=r"has no weights\.pt"):
        registry.fetch(version, cache_dir=tmp_path / "cache", only=["weights.pt"])


def test_a_damaged_download_is_fetched_again(candidate: Path, tmp_path: Path) -> None:
    registry = Registry(RemoteStore(tmp_path / "artifacts"))
    version = registry.publish(candidate)
    folder = registry.fetch(version, cache_dir=tmp_path / "cache")
    (folder / "model.onnx").write_bytes(b"half")
    registry.fetch(version, cache_dir=tmp_path / "cache")
    assert (folder / "model.onnx").read_bytes() == b"graph"


def test_a_manifest_that_cannot_be_read_says_so(
    registry: Registry, store: FolderStore, candidate: Path
) -> None:
    version = registry.publish(candidate)
    (store.root / "models" / version / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="cannot be read"):
        registry.manifest(version)
