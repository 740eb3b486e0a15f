"""Swaps under load: a good candidate takes over, bad ones change nothing, and nobody notices."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.run import Hub
from store.artifacts import open_store
from store.registry import Registry
from tests.live_hub import client_of
from training.beside import Hub as Address
from training.beside import simulated_session
from training.candidate import GOLDEN_FILE
from training.evaluate import read_golden
from training.hot_swap import SwapFailed, hot_swap

TEXTS = [example.text for example in read_golden(GOLDEN_FILE)]


@pytest.fixture
def registry(hub: Hub) -> Registry:
    return Registry(open_store(hub.settings.artifacts_root))


def publish(registry: Registry, folder: Path, **changes: Any) -> str:
    """Publish the champion's files again as the next version, its manifest changed so."""
    champion = registry.champion()
    assert champion is not None
    shutil.copytree(registry.fetch(champion.version, cache_dir=folder), folder / "candidate")
    manifest_file = folder / "candidate" / "manifest.json"
    manifest = json.loads(manifest_file.read_text())
    manifest |= {"version": "candidate", "name": "", "files": {}, "kind": "a copy", **changes}
    manifest_file.write_text(json.dumps(manifest))
    (folder / "candidate" / "claim.json").unlink()
    return registry.publish(folder / "candidate")


def swap(hub: Hub, registry: Registry, version: str) -> str:
    address = Address(
        url=hub.cluster.http_url,
        dashboard_url=hub.cluster.dashboard_url,
        token=hub.cluster.token_file.read_text().strip(),
    )
    golden = read_golden(GOLDEN_FILE)
    champion = hot_swap(
        version,
        hub=address,
        registry=registry,
        golden=golden,
        session_token=simulated_session(hub.settings),
        who="a test",
        why="a test",
    )
    return champion.version


@dataclass
class Load:
    """What clients saw: every status, which versions answered, the types of /v1/models."""

    statuses: set[int] = field(default_factory=set)
    versions: list[str] = field(default_factory=list)
    models_types: set[str] = field(default_factory=set)


@contextlib.contextmanager
def asked_meanwhile(hub: Hub, *, clients: int = 2) -> Iterator[Load]:
    seen, is_over = Load(), threading.Event()

    def ask() -> None:
        with client_of(hub) as client:
            for text in iter(lambda: TEXTS[len(seen.versions) % len(TEXTS)], None):
                if is_over.is_set():
                    return
                response = client.post("/v1/query", json={"text": text})
                seen.statuses.add(response.status_code)
                # 503 while the only replica takes no calls: a problem document, too.
                seen.models_types.add(client.get("/v1/models").headers["content-type"])
                seen.versions.append(response.json()["model_version"])

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def held(hub: Hub) -> dict[str, object]:
    with client_of(hub) as client:
        answer: dict[str, object] = client.get("/v1/models").json()
    return answer


def wanted(hub: Hub) -> object:
    """The one field of the live config."""
    details = hub.cluster.api("GET", "/api/serve/applications/").json()
    config = details["applications"]["hub"]["deployed_app_config"]
    (classifier,) = (one for one in config["deployments"] if one["name"] == "Classifier")
    return classifier["user_config"]["version"]


def replica_ids(hub: Hub) -> set[str]:
    deployments = hub.cluster.application()["deployments"]
    return {one["replica_id"] for d in deployments.values() for one in d["replicas"]}


def test_a_good_candidate_takes_over_and_no_query_notices(
    hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    before, version = replica_ids(hub), publish(registry, tmp_path)
    with asked_meanwhile(hub) as seen:
        assert swap(hub, registry, version) == version
    assert seen.statuses == {httpx.codes.OK}
    assert seen.models_types <= {"application/json", "application/problem+json"}
    changes = [b for a, b in zip(seen.versions, seen.versions[1:], strict=False) if a != b]
    assert set(seen.versions) <= {"v3", version}
    assert changes[-1] == version
    assert held(hub)["champion"] == version
    assert wanted(hub) is None
    assert replica_ids(hub) == before  # nothing was started anew


def test_a_damaged_artifact_changes_nothing(hub: Hub, registry: Registry, tmp_path: Path) -> None:
    serving = held(hub)["champion"]
    version = publish(registry, tmp_path)
    model = Path(hub.settings.artifacts_root) / "models" / version / "model.onnx"
    damaged = model.read_bytes()[:1000]
    model.unlink()
    model.write_bytes(damaged)
    with asked_meanwhile(hub) as seen, pytest.raises(SwapFailed, match="cannot load"):
        swap(hub, registry, version)
    assert seen.statuses == {httpx.codes.OK}
    assert set(seen.versions) == {serving}
    assert held(hub)["champion"] == serving
    assert wanted(hub) is None


def test_a_candidate_that_misses_a_golden_query_live_goes_back(
    hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    serving = held(hub)["champion"]
    assert isinstance(serving, str)
    labels = list(registry.manifest(serving).labels)
    version = publish(registry, tmp_path, labels=[*labels[1:], labels[0]])
    with asked_meanwhile(hub) as seen, pytest.raises(SwapFailed, match="it must be"):
        swap(hub, registry, version)
    assert seen.statuses == {httpx.codes.OK}
    answer = held(hub)
    assert answer["champion"] == serving
    assert {one["version"] for one in answer["replicas"]} == {serving}  # type: ignore[attr-defined]


def test_a_version_that_is_not_there_changes_nothing(hub: Hub, registry: Registry) -> None:
    serving = held(hub)["champion"]
    with pytest.raises(SwapFailed, match="v99"):
        swap(hub, registry, "v99")
    assert held(hub)["champion"] == serving
