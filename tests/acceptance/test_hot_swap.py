"""Swaps under load: a good candidate takes over, bad ones change nothing, and nobody notices."""

from pathlib import Path

import httpx
import pytest

from benchmarks.swap_candidates import (
    Damage,
    lose_a_label,
    make_weights_nan,
    publish_shifted,
    says,
    steady,
    truncate_published,
)
from scripts.run import Hub
from store.artifacts import open_store
from store.registry import SERVED_FILES, Registry
from tests.swaps import TEXTS, asked_meanwhile, held, swap
from training.examples import Example
from training.hot_swap import SwapFailed


@pytest.fixture
def registry(hub: Hub) -> Registry:
    return Registry(open_store(hub.settings.artifacts_root))


@pytest.fixture
def base(hub: Hub, registry: Registry) -> Path:
    """The folder of the version that serves."""
    champion = registry.champion()
    assert champion is not None
    return registry.fetch(champion.version, cache_dir=hub.settings.home_dir, only=SERVED_FILES)


def wanted(hub: Hub) -> object:
    """The one field of the live config."""
    details = hub.cluster.api("GET", "/api/serve/applications/").json()
    config = details["applications"]["hub"]["deployed_app_config"]
    (classifier,) = (one for one in config["deployments"] if one["name"] == "Classifier")
    return classifier["user_config"]["version"]


def replica_ids(hub: Hub) -> set[str]:
    deployments = hub.cluster.application()["deployments"]
    return {one["replica_id"] for d in deployments.values() for one in d["replicas"]}


def test_a_good_candidate_takes_over_and_back_and_no_query_notices(
    hub: Hub, registry: Registry, base: Path
) -> None:
    before, serving = replica_ids(hub), held(hub)["champion"]
    assert isinstance(serving, str)
    version = publish_shifted(registry, base, number=1)
    folder = registry.fetch(version, cache_dir=base, only=SERVED_FILES)
    proving = steady(base, TEXTS)
    said = {serving: says(base, proving), version: says(folder, proving)}
    golden = [Example(text, intent) for text, (intent, _) in said[version].items()]
    with asked_meanwhile(hub) as seen:
        assert swap(hub, registry, version, golden=golden) == version
        assert held(hub)["champion"] == version
        assert swap(hub, registry, serving) == serving
    assert seen.statuses == seen.models_statuses == {httpx.codes.OK}
    # A version of None would be an answer without a model.
    assert set(seen.versions) == {serving, version}
    assert seen.impostors(said) == []
    assert wanted(hub) is None
    assert replica_ids(hub) == before  # nothing was started anew


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (None, "not the file that was published"),
        (lose_a_label, "22 scores for 21 labels"),
        (make_weights_nan, "not a number"),
    ],
    ids=["a truncated file", "a label too few", "weights that are not numbers"],
)
def test_a_corrupt_artifact_changes_nothing(
    damage: Damage | None, reason: str, hub: Hub, registry: Registry, base: Path
) -> None:
    serving = held(hub)["champion"]
    version = publish_shifted(registry, base, number=2, damage=damage)
    if damage is None:
        truncate_published(Path(hub.settings.artifacts_root), version)
    with asked_meanwhile(hub) as seen, pytest.raises(SwapFailed, match=reason):
        swap(hub, registry, version)
    assert seen.statuses == {httpx.codes.OK}
    assert set(seen.versions) == {serving}
    assert held(hub)["champion"] == serving
    assert wanted(hub) is None


def test_a_candidate_that_misses_a_golden_query_live_goes_back(
    hub: Hub, registry: Registry, base: Path
) -> None:
    serving = held(hub)["champion"]
    version = publish_shifted(registry, base, number=3)
    with asked_meanwhile(hub) as seen, pytest.raises(SwapFailed, match="it must be"):
        swap(hub, registry, version)
    assert seen.statuses == {httpx.codes.OK}
    answer = held(hub)
    assert answer["champion"] == serving
    assert {one["version"] for one in answer["replicas"]} == {serving}  # type: ignore[attr-defined]


def test_a_version_that_the_gate_stopped_is_served_by_nobody(
    hub: Hub, registry: Registry, base: Path
) -> None:
    serving = held(hub)["champion"]
    stopped = publish_shifted(registry, base, number=4, stopped_because=["golden queries lost"])
    with pytest.raises(SwapFailed, match=f"stopped {stopped}: golden queries lost"):
        swap(hub, registry, stopped)
    assert held(hub)["champion"] == serving
    assert wanted(hub) is None


def test_a_version_that_is_not_there_changes_nothing(hub: Hub, registry: Registry) -> None:
    serving = held(hub)["champion"]
    with pytest.raises(SwapFailed, match="v99"):
        swap(hub, registry, "v99")
    assert held(hub)["champion"] == serving
