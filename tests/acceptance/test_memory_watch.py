"""A classifier over its memory limit gives way to a smaller one, and no query notices."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local_cluster import hub_environment
from scripts.run import Hub
from store.artifacts import open_store
from store.registry import Registry
from store.replacements import Replacements
from tests.swaps import asked_meanwhile, held, publish, swap
from training import memory_watch

LOWERED_BYTES = 1_000_000
"""Any process holds more than this."""


@pytest.fixture
def registry(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The hub's registry, with the watch's limit lowered; its champion is put back."""
    settings = hub.settings.model_copy(update={"memory_limit_bytes": LOWERED_BYTES})
    for name, value in hub_environment(settings).items():
        monkeypatch.setenv(name, value)
    registry = Registry(open_store(hub.settings.artifacts_root))
    champion = registry.champion()
    assert champion is not None
    yield registry
    if held(hub)["champion"] != champion.version:
        swap(hub, registry, champion.version)


def classifier_pids(hub: Hub) -> dict[str, int]:
    replicas = hub.cluster.application()["deployments"]["Classifier"]["replicas"]
    return {one["replica_id"]: one["pid"] for one in replicas}


def look(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Run the command once; return its exit status and what it says last, in JSON."""
    capsys.readouterr()
    status = memory_watch.main(["--once"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_replica_over_the_limit_gives_way_to_a_smaller_version_under_load(
    hub: Hub, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((_, old_pid),) = classifier_pids(hub).items()

    status, said = look(capsys)
    assert (status, said["kind"]) == (3, "alert")
    assert "no MobileBERT version has passed its gate" in said["why"]
    assert list(classifier_pids(hub).values()) == [old_pid]

    smaller = publish(
        registry, tmp_path, kind="mobilebert-copy", gate={"passed": True, "reasons": []}
    )
    with asked_meanwhile(hub) as seen:
        status, said = look(capsys)
    assert (status, said["kind"], said["version"]) == (0, "replaced", smaller)
    assert seen.statuses == {httpx.codes.OK}
    assert None not in seen.versions  # a partial answer would be a 200, too
    assert seen.versions[-1] == smaller

    ((name, new_pid),) = classifier_pids(hub).items()
    assert new_pid != old_pid
    assert not Path(f"/proc/{old_pid}").exists()
    now = held(hub)
    assert now["champion"] == smaller
    assert [(one["replica"], one["version"]) for one in now["replicas"]] == [(name, smaller)]  # type: ignore[attr-defined]
    (before,) = said["before_bytes"].values()
    assert said["after_bytes"].keys() == {name}
    print(f"memory {before / 1e6:.0f} -> {said['after_bytes'][name] / 1e6:.0f} MB")
    assert 0 < said["after_bytes"][name] < before

    entry = Replacements(open_store(hub.settings.artifacts_root)).all()[-1]
    assert (entry.version, entry.who, entry.error) == (smaller, "memory watch", None)
    assert entry.after_bytes == said["after_bytes"]

    status, said = look(capsys)  # it does not flap
    assert (status, said["kind"]) == (3, "alert")
    assert list(classifier_pids(hub).values()) == [new_pid]
