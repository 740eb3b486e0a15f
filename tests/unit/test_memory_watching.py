"""The memory watch over a Serve that is not one: it answers as Serve's API and the hub do."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import HubError
from store.artifacts import open_store
from store.registry import Manifest, Registry
from store.replacements import Replacements
from tests.samples import candidate_in
from training.beside import Hub
from training.hot_swap import Patience
from training.memory_watch import MemoryWatch, sentence_of
from training.replica_replacement import started_for

LIMIT = 1_000
LARGE, SMALL = 2_000, 500


@dataclass
class FakeServe:
    """One classifier replica; a changed config starts another one, unless there is no room."""

    config: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "hub",
            "deployments": [
                {"name": "Classifier", "ray_actor_options": {"num_cpus": 0.2}, "num_replicas": 1}
            ],
        }
    )
    memory_bytes: int = LARGE
    has_room: bool = True
    generation: int = 1
    puts: int = 0

    def details(self) -> dict[str, Any]:
        replicas = [{"replica_id": f"r{self.generation}", "state": "RUNNING"}]
        if not self.has_room and self.puts:
            replicas.append({"replica_id": "r2", "state": "STARTING"})
        deployments = {"Classifier": {"status": "UPDATING", "replicas": replicas}}
        return {
            "applications": {
                "hub": {"deployed_app_config": self.config, "deployments": deployments}
            }
        }

    def put(self, config: dict[str, Any]) -> None:
        before = self.config
        (self.config,) = config["applications"]
        self.puts += 1
        if self.has_room and self.config["deployments"] != before["deployments"]:
            self.generation += 1
            self.memory_bytes = SMALL

    def models(self) -> dict[str, Any]:
        replica = {"replica": f"r{self.generation}", "version": "v3"}
        return {"replicas": [replica | {"memory_bytes": self.memory_bytes}]}


@pytest.fixture
def serve() -> Iterator[tuple[FakeServe, str]]:
    fake = FakeServe()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(fake.models() if self.path == "/v1/models" else fake.details())

        def do_PUT(self) -> None:
            fake.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer({})

        def _answer(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with v3, the champion, and v4, a MobileBERT that passed its gate."""
    made = Registry(open_store(str(tmp_path / "artifacts")))
    first = made.publish(candidate_in(tmp_path / "first"))
    made.move_champion(first, expected=None, who="a test", why="first")
    folder = candidate_in(tmp_path / "second")
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    smaller = manifest.model_copy(update={"kind": "mobilebert-real"})
    (folder / "manifest.json").write_text(smaller.model_dump_json())
    made.publish(folder, gate={"passed": True, "reasons": []})
    return made


@pytest.fixture
def watch(serve: tuple[FakeServe, str], registry: Registry, tmp_path: Path) -> MemoryWatch:
    def promote(version: str, why: str) -> None:
        registry.move_champion(version, expected=registry.champion(), who="a test", why=why)

    return MemoryWatch(
        Hub(url=serve[1], dashboard_url=serve[1], token="a token"),
        registry,
        Replacements(open_store(str(tmp_path / "artifacts"))),
        LIMIT,
        promote,
        patience=Patience(load_s=0.5, api_s=5),
    )


def test_below_the_limit_nothing_is_done(serve: tuple[FakeServe, str], watch: MemoryWatch) -> None:
    serve[0].memory_bytes = LIMIT
    outcome = watch.once()
    assert outcome.kind == "nothing"
    assert serve[0].puts == 0
    assert watch.replacements.all() == []
    assert sentence_of(outcome) == "memory: at most 0 MB a replica, limit 0 MB"


def test_a_replica_is_replaced_noted_and_then_left_alone(
    serve: tuple[FakeServe, str], watch: MemoryWatch, registry: Registry
) -> None:
    outcome = watch.once()
    assert (outcome.kind, outcome.version) == ("replaced", "v4")
    assert (outcome.before_bytes, outcome.after_bytes) == ({"r1": LARGE}, {"r2": SMALL})
    assert sentence_of(outcome).startswith("memory fell")
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v4"
    assert champion.promotion.why.startswith("memory watch: 1 of 1 classifier replicas")
    (entry,) = watch.replacements.all()
    assert (entry.version, entry.previous, entry.error) == ("v4", "v3", None)
    assert watch.once().kind == "nothing"

    serve[0].memory_bytes = LARGE  # it grows again: replacing it once more would not help
    assert watch.once().kind == "alert"
    assert serve[0].puts == 1


def test_a_promotion_that_fails_is_noted_and_not_tried_again(
    serve: tuple[FakeServe, str], watch: MemoryWatch
) -> None:
    def refuse(version: str, why: str) -> None:
        raise HubError("A golden query was missed.")

    watch = replace(watch, promote=refuse)
    assert watch.once().kind == "failed"
    (entry,) = watch.replacements.all()
    assert entry.error is not None
    assert "A golden query was missed." in entry.error
    again = watch.once()
    assert again.kind == "alert"
    assert "v4 could not replace them" in again.why
    assert serve[0].puts == 0


def test_without_room_for_a_second_replica_the_first_serves_and_the_config_is_put_back(
    serve: tuple[FakeServe, str], watch: MemoryWatch
) -> None:
    serve[0].has_room = False
    outcome = watch.once()
    assert outcome.kind == "failed"
    assert "0 of 1 new ones serve, 1 old ones are left" in outcome.why
    assert serve[0].generation == 1
    assert serve[0].puts == 2
    config = {"applications": [serve[0].config]}
    assert started_for(config) is None
