"""What a classifier replica holds when the store of versions is a bucket, and when that is away."""

import asyncio
from pathlib import Path

import pytest

from contracts.errors import ArtifactError
from deployments.classifier import VersionHolder
from store.artifacts import ArtifactStore, StoreUnavailable
from store.registry import Registry
from tests.samples import candidate_in, until
from tests.stand_ins.storage import StorageServer
from tests.stores import open_bucket
from tests.tiny_classifier import make_tiny_classifier


@pytest.fixture
def registry(bucket: ArtifactStore, tmp_path: Path) -> Registry:
    """A registry of v3, the champion, and v4: small ones, and real."""
    folder = candidate_in(tmp_path / "candidate")
    manifest = (folder / "manifest.json").read_bytes()
    labels = ("library", "out_of_scope")
    make_tiny_classifier(folder, words={"book": "library"}, labels=labels, otherwise=labels[1])
    (folder / "manifest.json").write_bytes(manifest)
    made = Registry(bucket)
    for _ in range(2):
        made.publish(folder)
    made.move_champion("v3", expected=None, who="ada", why="first")
    return made


def start(cache_dir: Path) -> VersionHolder:
    return VersionHolder(Registry(open_bucket()), cache_dir=cache_dir, ask_again_s=0.05)


def shut(storage: StorageServer) -> None:
    """Let nobody in: at once, while a server that is gone would be asked until the deadline."""
    storage.fail(1_000_000, status=403)


def promote(registry: Registry, version: str) -> None:
    registry.move_champion(version, expected=registry.champion(), who="ada", why="better")


def held(holder: VersionHolder) -> tuple[str, str, bool]:
    return holder.current.version, holder.wanted, holder.error is None


def test_a_replica_starts_with_the_champion_of_the_bucket(
    registry: Registry, tmp_path: Path
) -> None:
    holder = start(tmp_path / "cache")
    assert held(holder) == ("v3", "v3", True)
    assert holder.current.predict(["book"])[0].intent == "library"


async def test_a_start_without_the_bucket_serves_what_was_served_and_follows_when_it_is_back(
    registry: Registry, storage: StorageServer, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    await asyncio.to_thread(start, cache)
    promote(registry, "v4")
    shut(storage)
    holder = await asyncio.to_thread(start, cache)
    assert held(holder) == ("v3", "v3", False)
    assert holder.error is not None
    assert "may not read models/champion.json in gs://hub" in holder.error
    holder.want(None)  # as Serve does after each start
    await until(lambda: holder.error)
    assert held(holder)[0] == "v3"
    storage.recover()
    await until(lambda: held(holder) == ("v4", "v4", True))


async def test_what_is_remembered_is_the_champion_and_no_candidate(
    registry: Registry, tmp_path: Path
) -> None:
    def remembered() -> str:
        folder = registry.served_champion(cache_dir=tmp_path / "cache")
        return folder.name if folder else ""

    holder = await asyncio.to_thread(start, tmp_path / "cache")
    holder.want("v4")
    await until(lambda: holder.current.version == "v4")
    assert remembered() == "v3"
    promote(registry, "v4")
    holder.want(None)
    await until(lambda: remembered() == "v4")


def test_a_first_start_without_the_bucket_is_none(
    registry: Registry, storage: StorageServer, tmp_path: Path
) -> None:
    shut(storage)
    with pytest.raises(StoreUnavailable, match="may not read"):
        start(tmp_path / "cache")


def test_a_kept_copy_that_is_damaged_is_not_served(
    registry: Registry, storage: StorageServer, tmp_path: Path
) -> None:
    start(tmp_path / "cache")
    (model,) = (tmp_path / "cache").rglob("model.onnx")
    model.write_bytes(b"half")
    shut(storage)
    with pytest.raises(ArtifactError, match=r"model\.onnx of v3 is not the file"):
        start(tmp_path / "cache")


async def test_a_candidate_is_loaded_when_the_bucket_is_back(
    registry: Registry, storage: StorageServer, tmp_path: Path
) -> None:
    holder = await asyncio.to_thread(start, tmp_path / "cache")
    shut(storage)
    holder.want("v4")
    await until(lambda: holder.error)
    assert held(holder) == ("v3", "v4", False)
    storage.recover()
    await until(lambda: held(holder) == ("v4", "v4", True))


async def test_a_candidate_whose_swap_failed_goes_also_while_the_bucket_is_away(
    registry: Registry, storage: StorageServer, tmp_path: Path
) -> None:
    holder = await asyncio.to_thread(start, tmp_path / "cache")
    holder.want("v4")
    await until(lambda: held(holder) == ("v4", "v4", True))
    shut(storage)
    holder.want(None)
    await until(lambda: held(holder) == ("v3", "v3", False))
    storage.recover()
    await until(lambda: held(holder) == ("v3", "v3", True))
