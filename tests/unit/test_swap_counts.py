"""What a classifier replica counts of its swaps: taken over, gone back, not loaded."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.classifier import VersionHolder
from store.artifacts import FolderStore
from store.registry import Manifest, Registry
from tests.recorded_metrics import RecordedMetrics
from tests.samples import candidate_in
from tests.tiny_classifier import make_tiny_classifier

LABELS = ("library", "out_of_scope")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Three versions: v3 is the champion, v4 could be, v5 cannot be loaded."""
    registry = Registry(FolderStore(tmp_path / "artifacts"))
    for version in ("v3", "v4", "v5"):
        folder = candidate_in(tmp_path / version)
        manifest = (folder / "manifest.json").read_text()
        if version != "v5":
            make_tiny_classifier(
                folder, words={"book": "library"}, labels=LABELS, otherwise="out_of_scope"
            )
        (folder / "manifest.json").write_text(
            Manifest.model_validate_json(manifest)
            .model_copy(update={"labels": LABELS})
            .model_dump_json()
        )
        assert registry.publish(folder) == version
    registry.move_champion("v3", expected=None, who="a test", why="a test")
    return registry


@pytest.fixture
def holder(registry: Registry, tmp_path: Path) -> VersionHolder:
    return VersionHolder(registry, cache_dir=tmp_path / "cache")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def swaps(recorded: RecordedMetrics) -> dict[str, float]:
    found = {
        dict(labels)["result"]: value
        for (name, labels), value in recorded.values.items()
        if name == "hub_model_swaps_total"
    }
    return {result: count for result, count in found.items() if count}


def test_a_version_that_became_the_champion_was_swapped_and_no_more(
    holder: VersionHolder, registry: Registry, recorded: RecordedMetrics
) -> None:
    holder.want("v4")
    until(lambda: holder.current.version == "v4")
    registry.move_champion("v4", expected=registry.champion(), who="a test", why="a test")
    holder.want(None)
    until(lambda: holder.wanted == "v4" and not holder._news)
    assert swaps(recorded) == {"swapped": 1}


def test_a_version_that_lost_its_trial_was_rolled_back(
    holder: VersionHolder, recorded: RecordedMetrics
) -> None:
    holder.want("v4")
    until(lambda: holder.current.version == "v4")
    holder.want(None)
    until(lambda: holder.current.version == "v3" and bool(swaps(recorded).get("rolled_back")))
    assert swaps(recorded) == {"swapped": 1, "rolled_back": 1}


def test_a_champion_that_moved_meanwhile_is_no_way_back(
    holder: VersionHolder, registry: Registry, recorded: RecordedMetrics
) -> None:
    registry.move_champion("v4", expected=registry.champion(), who="a test", why="a test")
    holder.want(None)
    until(lambda: bool(swaps(recorded)))
    assert swaps(recorded) == {"swapped": 1}


def test_a_version_that_cannot_be_loaded_failed_and_the_way_back_is_none(
    holder: VersionHolder, recorded: RecordedMetrics
) -> None:
    holder.want("v5")
    until(lambda: holder.error is not None)
    holder.want(None)
    until(lambda: holder.error is None and holder.wanted == "v3")
    assert holder.current.version == "v3"
    assert swaps(recorded) == {"failed": 1}
