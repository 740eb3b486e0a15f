"""A hot swap that loses the artifact store on its way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.artifacts import ArtifactStore
from store.registry import Registry
from tests.samples import candidate_in
from tests.stand_ins.storage import StorageServer
from training import hot_swap as module
from training.beside import Hub
from training.examples import Example
from training.hot_swap import Patience, SwapFailed, hot_swap


class Serve:
    """Serve's REST API and the hub's, with one replica that holds at once what it is told."""

    def __init__(self, storage: StorageServer) -> None:
        self.storage = storage
        self.told: list[str | None] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            (application,) = json.loads(request.content)["applications"]
            (deployment,) = application["deployments"]
            self.told.append(deployment["user_config"]["version"])
            return httpx.Response(200)
        if request.url.path == "/v1/models":
            held = self.told[-1] or "v3"
            replica = {"replica": "a", "version": held, "wanted": held, "error": None}
            return httpx.Response(200, json={"replicas": [replica]})
        if request.url.path == "/v1/query":
            self.storage.fail(1_000_000, status=403)
            return httpx.Response(200, json={"model_version": "v4", "intent": "library"})
        return httpx.Response(200, json=self.details())

    def details(self) -> dict[str, Any]:
        config = {"name": "hub", "deployments": [{"name": "Classifier"}]}
        replicas = [{"replica_id": "a", "state": "RUNNING"}]
        deployments = {"Classifier": {"replicas": replicas}}
        return {
            "applications": {"hub": {"deployed_app_config": config, "deployments": deployments}}
        }


def test_the_replicas_are_told_to_go_back_and_the_champion_stays(
    bucket: ArtifactStore, storage: StorageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, serve = Registry(bucket), Serve(storage)
    for _ in range(2):
        registry.publish(candidate_in(tmp_path / f"candidate{len(registry.versions())}"))
    registry.move_champion("v3", expected=None, who="ada", why="first")

    @contextmanager
    def clients(hub: Hub, *, patience: Patience) -> Iterator[tuple[httpx.Client, httpx.Client]]:
        transport = httpx.MockTransport(serve.answer)
        with httpx.Client(transport=transport, base_url="http://hub") as client:
            yield client, client

    monkeypatch.setattr(module, "_clients", clients)
    said: list[str] = []
    with pytest.raises(SwapFailed, match=r"may not read models/v4/manifest\.json"):
        hot_swap(
            "v4",
            hub=Hub("http://hub", "http://dashboard", "token"),
            registry=registry,
            golden=[Example("where is the book", "library")],
            session_token="s",
            who="ada",
            why="better",
            report=said.append,
        )
    assert serve.told == ["v4", None]
    assert any("go back to the champion that they served last" in line for line in said)
    storage.recover()
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v3"
