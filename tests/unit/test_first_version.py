"""When the first version is made, and when it is not. The training itself is a stand-in here."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import DataError
from contracts.settings import Settings
from store.artifacts import ArtifactStore, open_store
from store.registry import Manifest, Registry
from training import first_version
from training.child import StageFailed
from training.config import TrainingConfig


class StandIn:
    """A stage that leaves a small candidate, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.trained = 0
        self.fails = False

    def __call__(
        self, module: str, arguments: Sequence[str], *, report: Callable[[str], None]
    ) -> None:
        self.trained += 1
        folder, given = Path(arguments[0]), json.loads(arguments[1])
        (folder / "model.onnx").write_bytes(b"graph")
        if self.fails:
            raise StageFailed("it said why above.")
        manifest = Manifest(
            kind=given["kind"],
            labels=("library",),
            temperature=1.0,
            backbone="b",
            dataset={},
            split={},
            seed=given["config"]["seed"],
            recipe=given["recipe"],
            created_at=datetime.now(UTC),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json())
        report("trained")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stage = StandIn()
    monkeypatch.setattr(first_version, "run_stage", stage)
    monkeypatch.setattr(first_version, "export_encoder", lambda folder: False)
    return stage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", artifacts=None)


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(open_store(settings.artifacts_root))


OTHER = TrainingConfig(seed=99)


def test_an_empty_registry_gets_v3_as_champion(
    stage: StandIn, settings: Settings, registry: Registry
) -> None:
    assert first_version.make_first_version(settings) == "v3"
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v3"
    assert registry.manifest("v3").name == "v3-distilbert-synthetic"
    assert registry.manifest("v3").gate is None


def test_doing_it_again_does_nothing(
    stage: StandIn, settings: Settings, registry: Registry
) -> None:
    for _ in range(2):
        assert first_version.make_first_version(settings) == "v3"
    assert stage.trained == 1
    assert registry.versions() == ["v3"]


def test_another_home_with_the_same_cache_trains_nothing(
    stage: StandIn, settings: Settings, tmp_path: Path
) -> None:
    first_version.make_first_version(settings, cache_dir=tmp_path / "cache")
    other = Settings(home=tmp_path / "other", artifacts=None)
    assert first_version.make_first_version(other, cache_dir=tmp_path / "cache") == "v3"
    assert stage.trained == 1


def test_of_two_machines_that_make_it_at_once_both_serve_the_same(
    stage: StandIn, bucket: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [Settings(home=tmp_path / name, artifacts=bucket.url) for name in ("a", "b")]
    publish = Registry.publish

    def after_the_other(registry: Registry, folder: Path) -> str:
        monkeypatch.setattr(Registry, "publish", publish)
        assert first_version.make_first_version(homes[1]) == "v3"
        return publish(registry, folder)

    monkeypatch.setattr(Registry, "publish", after_the_other)
    assert first_version.make_first_version(homes[0]) == "v3"
    assert Registry(bucket).versions() == ["v3", "v4"]
    assert [move.version for move in Registry(bucket).promotions()] == ["v3"]


def test_a_new_recipe_makes_the_next_version_and_promotes_it(
    stage: StandIn, settings: Settings, registry: Registry
) -> None:
    first_version.make_first_version(settings)
    assert first_version.make_first_version(settings, config=OTHER) == "v4"
    assert [move.version for move in registry.promotions()] == ["v3", "v4"]
    assert registry.versions() == ["v3", "v4"]


def test_a_champion_that_came_from_labels_is_left_alone(
    stage: StandIn, settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    first_version.make_first_version(settings)
    labelled = tmp_path / "labelled"
    labelled.mkdir()
    manifest = registry.manifest("v3").model_copy(update={"kind": "distilbert-labels", "files": {}})
    (labelled / "manifest.json").write_text(manifest.model_dump_json())
    version = registry.publish(labelled)
    registry.move_champion(version, expected=registry.champion(), who="ada", why="gate passed")
    assert first_version.make_first_version(settings, config=OTHER) == version
    assert stage.trained == 1


def test_a_training_that_fails_leaves_nothing_behind(
    stage: StandIn, settings: Settings, registry: Registry
) -> None:
    stage.fails = True
    with pytest.raises(StageFailed, match="nothing was published"):
        first_version.make_first_version(settings)
    assert registry.versions() == []
    cache = settings.home_dir / "cache" / "first_version"
    assert [entry.name for entry in cache.iterdir()] == [".lock"]
    stage.fails = False
    assert first_version.make_first_version(settings) == "v3"


def test_bad_rows_are_named_before_anything_long_begins(
    stage: StandIn, settings: Settings, tmp_path: Path
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"text": "lunch", "intent": "lunchroom"}\n')
    with pytest.raises(DataError, match="lunchroom"):
        first_version.make_first_version(settings, queries=queries)
    assert stage.trained == 0


def test_old_recipes_are_forgotten(stage: StandIn, settings: Settings) -> None:
    for seed in range(5):
        first_version.make_first_version(settings, config=TrainingConfig(seed=seed))
    cache = settings.home_dir / "cache" / "first_version"
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 3
