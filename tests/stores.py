"""Artifact stores for tests: a folder, and a bucket of the stand-in through Google's own client."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.artifacts import ArtifactStore, FolderStore, open_store
from tests.stand_ins.storage import StorageServer

BUCKET = "hub"
AWAY_S = 0.4
"""The deadline of who is to find out that the bucket is away."""


def open_bucket(url: str = f"gs://{BUCKET}", *, deadline_s: float = 10.0) -> ArtifactStore:
    """A store with a client of its own, as another process has one."""
    return open_store(url, deadline_s=deadline_s)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    """The stand-in with one empty bucket; Google's client is led there."""
    with StorageServer(BUCKET) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def bucket(storage: StorageServer) -> ArtifactStore:
    return open_bucket()


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> ArtifactStore:
    """Either kind: what a test says of it holds for both."""
    made: ArtifactStore = request.getfixturevalue(request.param)
    return made
