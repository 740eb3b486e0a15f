"""Model versions and their champion."""

import hashlib
import threading
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, ChampionMoved
from store.artifacts import (
    ArtifactExists,
    ArtifactStore,
    FolderStore,
    StoreUnavailable,
    open_store,
)
from store.registry import Registry
from tests.samples import candidate_in
from tests.stand_ins.storage import StorageServer
from tests.stores import AWAY_S, open_bucket


@pytest.fixture
def registry(store: ArtifactStore) -> Registry:
    return Registry(store)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return candidate_in(tmp_path / "candidate")


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
    registry: Registry, store: ArtifactStore, candidate: Path, monkeypatch: pytest.MonkeyPatch
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


def test_racing_trainings_make_a_version_each(store: ArtifactStore, candidate: Path) -> None:
    made: list[str] = []

    def train() -> None:
        made.append(Registry(open_store(store.url)).publish(candidate))

    racers = [threading.Thread(target=train) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(made) == ["v3", "v4", "v5", "v6"]
    assert Registry(store).versions() == sorted(made)


def test_a_version_is_written_once(
    registry: Registry, store: ArtifactStore, candidate: Path
) -> None:
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
    registry: Registry, store: ArtifactStore, candidate: Path
) -> None:
    registry.publish(candidate)
    first = registry.move_champion("v3", expected=None, who="ada", why="first")
    store.remove("models/promotions/000001.json")
    assert [p.why for p in registry.promotions()] == ["first"]
    registry.move_champion("v3", expected=first, who="ada", why="second")
    assert [p.why for p in registry.promotions()] == ["first", "second"]
    assert len(store.keys("models/promotions/")) == 2


def test_a_folder_store_gives_its_own_verified_folder(
    folder: FolderStore, candidate: Path, tmp_path: Path
) -> None:
    registry = Registry(folder)
    version = registry.publish(candidate)
    found = registry.fetch(version, cache_dir=tmp_path / "cache")
    assert found == folder.root / "models" / version
    registry.note_served(version, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_file_is_refused(
    registry: Registry, store: ArtifactStore, candidate: Path, tmp_path: Path, damage: str
) -> None:
    version = registry.publish(candidate)
    key = f"models/{version}/model.onnx"
    found = store.read(key)
    if damage == "gone":
        store.remove(key)
    else:
        content = b"grapH" if damage == "changed" else b"gra"
        store.replace(key, content, expected=found.generation)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        registry.fetch(version, cache_dir=tmp_path / "cache")
    kept = [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert [name for name in kept if not name.startswith(".lock")] == []


def test_only_the_files_that_are_needed_are_fetched_and_kept(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path, tmp_path: Path
) -> None:
    registry, cache = Registry(bucket), tmp_path / "cache"
    version = registry.publish(candidate)
    folder = registry.fetch(version, cache_dir=cache, only=["model.onnx"])
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "model.onnx"]
    assert folder.is_relative_to(cache)
    storage.fail(which=lambda one: one.path.endswith("model.onnx"), status=403)
    assert registry.fetch(version, cache_dir=cache, only=["model.onnx"]) == folder, "not copied"
    with pytest.raises(ArtifactError, match=r"has no weights\.pt"):
        registry.fetch(version, cache_dir=cache, only=["weights.pt"])


def test_many_replicas_of_a_machine_copy_a_version_once(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path, tmp_path: Path
) -> None:
    (candidate / "model.onnx").write_bytes(b"graph" * 100_000)
    version = Registry(bucket).publish(candidate)
    storage.slow_down(delay_s=0.2, which=lambda one: one.path.endswith("model.onnx"))
    found: list[bytes] = []

    def start() -> None:
        replica = Registry(open_store(bucket.url))
        folder = replica.fetch(version, cache_dir=tmp_path / "cache")
        found.append((folder / "model.onnx").read_bytes())

    replicas = [threading.Thread(target=start) for _ in range(4)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join()
    assert found == [b"graph" * 100_000] * 4
    copies = [one for one in storage.requests if one.is_download and "onnx" in one.path]
    assert len(copies) == 1


def test_a_damaged_copy_is_fetched_again(
    bucket: ArtifactStore, candidate: Path, tmp_path: Path
) -> None:
    registry = Registry(bucket)
    version = registry.publish(candidate)
    folder = registry.fetch(version, cache_dir=tmp_path / "cache")
    (folder / "model.onnx").write_bytes(b"half")
    registry.fetch(version, cache_dir=tmp_path / "cache")
    assert (folder / "model.onnx").read_bytes() == b"graph"


def test_versions_of_two_buckets_are_kept_apart(
    storage: StorageServer, candidate: Path, tmp_path: Path
) -> None:
    folders = [
        registry.fetch(registry.publish(candidate), cache_dir=tmp_path / "cache")
        for registry in (Registry(open_store(f"gs://hub/{name}")) for name in ("mine", "other"))
    ]
    assert folders[0].name == folders[1].name == "v3"
    assert folders[0] != folders[1]


def test_the_champion_that_was_served_is_known_while_the_bucket_is_away(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path, tmp_path: Path
) -> None:
    registry, cache = Registry(bucket), tmp_path / "cache"
    version = registry.publish(candidate)
    assert registry.served_champion(cache_dir=cache) is None
    folder = registry.fetch(version, cache_dir=cache)
    assert registry.served_champion(cache_dir=cache) is None, "fetched is not served"
    registry.note_served(version, cache_dir=cache)
    storage.stop()
    registry = Registry(open_bucket(deadline_s=AWAY_S))
    with pytest.raises(StoreUnavailable):
        registry.champion()
    assert registry.served_champion(cache_dir=cache) == folder
    (folder / "model.onnx").write_bytes(b"half")
    with pytest.raises(ArtifactError, match=r"model\.onnx of v3 is not the file"):
        registry.served_champion(cache_dir=cache)


def test_a_version_whose_upload_broke_off_is_never_seen(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path
) -> None:
    (candidate / "model.onnx").write_bytes(b"graph" * 2_000_000)
    storage.cut(100, after_bytes=5_000_000, which=lambda one: "upload_id" in one.query)
    with pytest.raises(StoreUnavailable):
        Registry(open_bucket(deadline_s=AWAY_S)).publish(candidate)
    storage.recover()
    assert Registry(bucket).versions() == []
    assert Registry(bucket).publish(candidate) == "v4"


def test_a_manifest_goes_up_last(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path
) -> None:
    Registry(bucket).publish(candidate)
    written = [stored.generation for stored in storage.buckets.objects["hub"].values()]
    names = [name.rpartition("/")[2] for name in storage.buckets.objects["hub"]]
    assert written == sorted(written)
    assert names == ["claim.json", "model.onnx", "tokenizer.json", "manifest.json"]


def test_a_manifest_that_cannot_be_read_says_so(
    registry: Registry, store: ArtifactStore, candidate: Path
) -> None:
    version = registry.publish(candidate)
    key = f"models/{version}/manifest.json"
    store.replace(key, b"{}", expected=store.read(key).generation)
    with pytest.raises(ArtifactError, match="cannot be read"):
        registry.manifest(version)
