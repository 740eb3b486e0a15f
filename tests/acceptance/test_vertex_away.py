"""A hub that embeds by Vertex AI, or changes over to it; and Vertex AI away, under load."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.vertex import vertex_space
from scripts import migrate_vectors
from scripts.run import Hub
from store.database import connect
from store.knowledge import count_by_space
from tests.live_hub import client_of, live_hub
from tests.stand_ins.vertex import VertexStandIn

SPACE = vertex_space("text-embedding-005").fingerprint
KNOWN = "how do i appeal a grade"
DEADLINE_S = 2.0
SLACK_S = 1.0
"""For the way to the hub and back on a busy machine."""


@pytest.fixture(scope="module")
def vertex() -> Iterator[VertexStandIn]:
    with VertexStandIn() as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def vertex_hub(hub_home: Path, vertex: VertexStandIn) -> Iterator[Hub]:
    with live_hub(
        hub_home,
        embedder="vertex",
        vertex_project="campus",
        vertex_endpoint=vertex.endpoint,
        # One entry: the caches hold little, so that most questions have to be embedded.
        embedding_cache_entries=1,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def local_hub(hub_home: Path) -> Iterator[Hub]:
    with live_hub(hub_home) as running:
        yield running


class Load:
    """Two clients that ask new questions until told to stop; every answer is kept."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(2)]
        self.answers: list[tuple[float, float, int, list[str]]] = []
        """When it was asked, how long it took, its status, and what was degraded."""

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        with client_of(self._hub) as client:
            while not self._over.is_set():
                since_s = time.monotonic()
                response = ask(client, f"where do i find room {next(self._numbers)} of the library")
                took_s = time.monotonic() - since_s
                degraded = response.json().get("degraded", [response.text])
                self.answers.append((since_s, took_s, response.status_code, degraded))

    def until(self, what: str, *degraded: str, within_s: float = 60.0) -> None:
        """Wait until ten answers in a row have these stages missing."""
        deadline_s = time.monotonic() + within_s
        while [one[3] for one in self.answers[-10:]] != [list(degraded)] * 10:
            assert time.monotonic() < deadline_s, what
            time.sleep(0.1)


def ask(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/v1/query", json={"text": text})


def embedder_pids(hub: Hub) -> list[Any]:
    replicas = hub.cluster.application()["deployments"]["Embedder"]["replicas"]
    return [replica["pid"] for replica in replicas]


def degraded_of(client: httpx.Client) -> list[str]:
    ready = client.get("/v1/readyz")
    assert ready.status_code == 200
    return list(ready.json()["degraded"])


@pytest.mark.prove
def test_while_vertex_is_away_words_answer_and_the_hub_finds_it_again(
    vertex_hub: Hub, vertex: VertexStandIn
) -> None:
    with client_of(vertex_hub) as client, Load(vertex_hub) as load:
        load.until("answers by meaning")
        pids = embedder_pids(vertex_hub)
        models = client.get("/v1/models").json()
        assert {(one["space"], one["embedder"]) for one in models["embedders"]} == {
            (SPACE, "vertex")
        }
        answer = ask(client, KNOWN).json()
        assert (answer["embedding_space"], answer["degraded"]) == (SPACE, [])
        assert "grades-appeals-regrading" in {result["id"] for result in answer["results"]}
        assert degraded_of(client) == []

        vertex.stop()
        load.until("answers without the embedder", "embedder")
        assert degraded_of(client) == ["embedder"]
        answer = ask(client, "where can i buy a parking permit").json()
        assert (answer["degraded"], answer["embedding_space"]) == (["embedder"], None)
        assert answer["results"]
        time.sleep(12)  # two health checks of Serve's
        assert embedder_pids(vertex_hub) == pids
        assert all(one["status"] == "HEALTHY" for one in deployments(vertex_hub))

        vertex.start()
        load.until("answers by meaning again")
        assert degraded_of(client) == []

        with vertex.slow(5.0):  # it takes every request, and answers none in time
            load.until("answers without the embedder", "embedder")
            assert degraded_of(client) == ["embedder"]
            time.sleep(5)
        load.until("answers by meaning at last")
    assert [answer for answer in load.answers if answer[2] != 200] == []
    slowest_s = max(took_s for _, took_s, _, _ in load.answers)
    print(f"{len(load.answers)} answers, the slowest after {slowest_s:.2f} s")
    assert slowest_s < DEADLINE_S + SLACK_S


@pytest.mark.prove
def test_a_known_query_has_its_vector_while_vertex_is_away(
    vertex_hub: Hub, vertex: VertexStandIn
) -> None:
    with client_of(vertex_hub) as client:
        assert ask(client, KNOWN).json()["embedding_space"] == SPACE
        vertex.stop()
        try:
            assert ask(client, KNOWN).json()["embedding_space"] == SPACE
            assert ask(client, "a question that nobody asked").json()["degraded"] == ["embedder"]
            assert ask(client, KNOWN).json()["degraded"] == []
        finally:
            vertex.start()


@pytest.mark.prove
def test_one_command_changes_the_embedder_of_a_hub_under_load(
    local_hub: Hub, vertex: VertexStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_HOME", str(local_hub.settings.home_dir))
    monkeypatch.setenv("HUB_EMBEDDER", "vertex")
    monkeypatch.setenv("HUB_VERTEX_PROJECT", "campus")
    monkeypatch.setenv("HUB_VERTEX_ENDPOINT", vertex.endpoint)
    with client_of(local_hub) as client, Load(local_hub) as load:
        load.until("answers by meaning")
        old = ask(client, KNOWN).json()["embedding_space"]
        assert old != SPACE
        assert migrate_vectors.main(["--reembed"]) == 0
        assert {one["space"] for one in client.get("/v1/models").json()["embedders"]} == {SPACE}
        load.until("answers by meaning in the new space")
        answer = ask(client, KNOWN).json()
        assert (answer["embedding_space"], answer["degraded"]) == (SPACE, [])
    assert local_hub.settings.database_url is not None
    with connect(local_hub.settings.database_url) as connection:
        (space,) = count_by_space(connection)
    assert (space.fingerprint, space.vectors) == (SPACE, space.nodes)
    partial = sum(degraded != [] for *_, degraded in load.answers)
    print(f"{len(load.answers)} answers meanwhile, {partial} of them partial")
    assert [answer for answer in load.answers if answer[2] != 200] == []


def deployments(hub: Hub) -> list[dict[str, Any]]:
    return list(hub.cluster.application()["deployments"].values())
