"""Two promoters at once: exactly one wins, unless the store ignores what it is told to expect."""

import threading
from pathlib import Path

import pytest

from contracts.errors import ChampionMoved
from store.artifacts import ArtifactStore, open_store
from store.registry import Registry
from tests.samples import candidate_in
from tests.stand_ins.storage import StorageServer
from tests.stores import BUCKET


def winners_of_a_race(url: str, *, promoters: int = 2) -> list[str]:
    """Let each promoter, with a client of its own, move the champion that all of them have seen."""
    start = threading.Barrier(promoters)
    winners: list[str] = []

    def promote(version: str) -> None:
        registry = Registry(open_store(url))
        seen = registry.champion()
        start.wait()
        try:
            registry.move_champion(version, expected=seen, who=version, why="better")
        except ChampionMoved:
            return
        winners.append(version)

    threads = [
        threading.Thread(target=promote, args=(f"v{number + 4}",)) for number in range(promoters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


def published(store: ArtifactStore, folder: Path) -> Registry:
    """A registry of v3, the champion, and two that want to be."""
    registry = Registry(store)
    for _ in range(3):
        registry.publish(folder)
    registry.move_champion("v3", expected=None, who="ada", why="first")
    return registry


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return candidate_in(tmp_path / "candidate")


def test_of_two_promoters_exactly_one_wins(store: ArtifactStore, candidate: Path) -> None:
    registry = published(store, candidate)
    (winner,) = winners_of_a_race(store.url)
    champion = registry.champion()
    assert champion is not None
    assert champion.version == champion.promotion.who == winner
    assert [one.version for one in registry.promotions()] == ["v3", winner]


def test_the_winner_whose_answer_was_lost_is_still_the_only_one(
    bucket: ArtifactStore, storage: StorageServer, candidate: Path
) -> None:
    registry = published(bucket, candidate)
    storage.fail(after=True, which=lambda one: one.is_upload)
    (winner,) = winners_of_a_race(bucket.url)
    champion = registry.champion()
    assert champion is not None
    assert champion.version == winner


def test_a_bucket_that_ignores_preconditions_has_two_winners(
    candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the race above can fail: what it shows is the store's doing."""
    with StorageServer(BUCKET, honours_preconditions=False) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        store = open_store(f"gs://{BUCKET}")
        published(store, candidate)
        assert sorted(winners_of_a_race(store.url)) == ["v4", "v5"]
