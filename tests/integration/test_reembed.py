"""migrate_vectors.py --reembed: the embedder changes while the hub serves, come what may."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.records import Search
from contracts.settings import PROJECT
from models import chosen_encoder
from models.encoder import Encoder
from models.vertex import vertex_space
from models.vertex_service import Patience
from scripts import reembed
from scripts.migrate_vectors import main, migrate_vectors
from store.database import Connection, Pool
from store.knowledge import count_by_space, drop_space, find_space
from store.knowledge_file import KnowledgeFile
from store.retrieval import KnowledgeSearch
from tests.fake_serve import FakeServe
from tests.stand_ins.vertex import VertexStandIn, embed
from tests.tiny_encoder import make_tiny_encoder

SCRIPT = PROJECT / "scripts" / "migrate_vectors.py"
WORDS = ("grade", "appeal", "form", "registrar", "parking", "permit", "gown", "wifi", "dining")
VERTEX = vertex_space("text-embedding-005").fingerprint


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembed, "WAITING", reembed.Waiting(poll_s=0.02, agreed=2))


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VertexStandIn]:
    """A stand-in that the environment names as the embedder."""
    with VertexStandIn() as stand_in:
        monkeypatch.setenv("HUB_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HUB_EMBEDDER", "vertex")
        monkeypatch.setenv("HUB_VERTEX_PROJECT", "campus")
        monkeypatch.setenv("HUB_VERTEX_ENDPOINT", stand_in.endpoint)
        yield stand_in


@pytest.fixture
def old(tmp_path: Path) -> Encoder:
    return Encoder(make_tiny_encoder(tmp_path / "old", texts=WORDS, fingerprint="old"))


@pytest.fixture
def load(database_url: str, tmp_path: Path, old: Encoder) -> Callable[..., None]:
    """Load nodes as the hub with its old embedder does: each has a word of WORDS for its title."""

    def load(*numbers: int, **changes: Any) -> None:
        rows = [
            {
                "id": f"node-{number:05}",
                "title": f"{WORDS[number % len(WORDS)]} {number}",
                "body": f"all about {WORDS[number % len(WORDS)]}",
                "url": f"/{number}",
                "intent": "library",
                **changes,
            }
            for number in numbers
        ]
        file = tmp_path / "nodes.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        migrate_vectors(KnowledgeFile(file), database_url=database_url, encoder=old)

    return load


def spaces(connection: Connection) -> dict[str, int]:
    return {space.fingerprint: space.vectors for space in count_by_space(connection)}


def until(condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class Change:
    """The command, running in a thread."""

    def __init__(self, *arguments: str) -> None:
        self.status: int | None = None
        self._arguments = ["--reembed", *arguments]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = main(self._arguments)

    def end(self) -> int | None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.status


async def test_the_old_space_stays_whole_until_every_replica_uses_the_new_one(
    database_url: str,
    connection: Connection,
    pool: Pool,
    load: Callable[..., None],
    vertex: VertexStandIn,
    old: Encoder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(*range(260))
    search = KnowledgeSearch(pool)

    async def first(text: str, space: str) -> str:
        """Return the word that the first node found is about."""
        by_old = old.encode([text], task="query")[0]
        vector = by_old if space == "old" else embed(text, task_type="RETRIEVAL_QUERY")
        (found,) = await search.search([Search(text, vector.astype("float32"), space)])
        return found[0].title.split()[0]

    with FakeServe(spaces=["old", "old"]) as hub:
        change = Change("--hub", hub.url, "--database-url", database_url)
        until(lambda: spaces(connection).get(VERTEX) == 260)
        hub.spaces = [VERTEX, "old"]
        # What is loaded meanwhile, by a load that knows only the old embedder, lands in both.
        load(260, title="wifi permit", body="wifi permit")
        until(lambda: spaces(connection).get(VERTEX) == 261)
        # So does what changed, with the vector of its new text.
        load(7, body="quite another thing: laundry")
        digests = "SELECT count(DISTINCT source_digest) FROM knowledge_vectors JOIN knowledge_nodes"
        digests += " ON number = node WHERE id = 'node-00007'"
        until(lambda: connection.execute(digests).fetchall() == [(1,)])
        # Each query is answered in the space of the replica that embedded it.
        assert await first("where to get a gown", "old") == "gown"
        assert await first("where to get a gown", VERTEX) == "gown"
        assert spaces(connection) == {VERTEX: 261, "old": 261}
        hub.spaces = [VERTEX, VERTEX]
        assert change.end() == 0
    assert spaces(connection) == {VERTEX: 261}
    assert {call.task_types for call in vertex.calls} == {frozenset({"RETRIEVAL_DOCUMENT"})}
    assert max(call.texts for call in vertex.calls) == 250
    said = " ".join(capsys.readouterr().out.split())
    assert "HUB_EMBEDDER: vertex, HUB_VERTEX_PROJECT: campus" in said
    assert f"1 of 2 embedder replicas use {VERTEX}, the others old (local)" in said
    assert "1 nodes that were loaded meanwhile are embedded too" in said
    assert "dropping space old, 261 vectors" in said


def test_the_replicas_of_the_hub_beside_are_changed_over(
    database_url: str, connection: Connection, load: Callable[..., None], vertex: VertexStandIn
) -> None:
    load(1, 2, 3)
    filled: list[dict[str, int]] = []
    with FakeServe(spaces=["old"]) as hub:

        def told(config: dict[str, Any]) -> None:
            filled.append(spaces(connection))
            (embedder,) = config["applications"][0]["deployments"]
            variables = embedder["ray_actor_options"]["runtime_env"]["env_vars"]
            assert variables["HUB_EMBEDDER"] == "vertex"
            assert variables["HUB_VERTEX_ENDPOINT"] == vertex.endpoint
            hub.spaces = [VERTEX]

        hub.told = told
        hub.beside(Path(os.environ["HUB_HOME"]), pid=os.getpid())
        assert main(["--reembed", "--database-url", database_url]) == 0
        assert hub.authorised == {"Bearer a token"}
    assert filled == [{VERTEX: 3, "old": 3}]
    assert spaces(connection) == {VERTEX: 3}


def test_a_node_that_is_too_long_is_named_and_the_others_are_embedded(
    database_url: str,
    connection: Connection,
    load: Callable[..., None],
    vertex: VertexStandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(*range(5))
    load(5, body="grade " * 2_000)
    with FakeServe(spaces=[VERTEX]) as hub:
        arguments = ["--reembed", "--hub", hub.url, "--database-url", database_url]
        assert main([*arguments, "--keep-old"]) == 3
        said = " ".join(capsys.readouterr().out.split())
        assert "node node-00005 has no vector: it has 4,003 tokens, the model takes 2,048" in said
        assert spaces(connection) == {VERTEX: 5, "old": 6}
        # Nothing is done twice, and the node that cannot be embedded keeps nothing from ending.
        asked = len(vertex.calls)
        assert main(arguments) == 3
        assert [call.texts for call in vertex.calls[asked:]].count(1) >= 1
        assert sum(call.texts for call in vertex.calls[asked:]) < 20
    assert spaces(connection) == {VERTEX: 5}


def test_a_change_that_was_killed_goes_on_where_it_stood(
    database_url: str, connection: Connection, load: Callable[..., None], tmp_path: Path
) -> None:
    count = 1_500
    load(*range(count))
    new = make_tiny_encoder(tmp_path / "new", texts=WORDS, fingerprint="new", dims=48)
    with FakeServe(spaces=["old"]) as hub:
        arguments = ["--reembed", "--hub", hub.url, "--database-url", database_url]
        arguments += ["--encoder", str(new)]
        change = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE)
        until(lambda: spaces(connection).get("new", 0) > 0)
        os.kill(change.pid, signal.SIGKILL)
        change.communicate()
        done = spaces(connection)["new"]
        assert done < count
        hub.spaces = ["new"]
        assert main(arguments) == 0
    assert spaces(connection) == {"new": count}


def test_a_space_that_was_half_dropped_is_dropped_for_good(
    connection: Connection, load: Callable[..., None]
) -> None:
    load(1, 2, 3)
    space = find_space(connection, "old")
    assert space is not None
    connection.execute(f"DROP INDEX knowledge_vectors_hnsw_{space.id}")
    connection.execute("DELETE FROM knowledge_vectors WHERE node = 1")
    drop_space(connection, space)
    assert spaces(connection) == {}
    drop_space(connection, space)


def test_vectors_that_this_service_did_not_make_are_never_added_to(
    database_url: str,
    connection: Connection,
    load: Callable[..., None],
    vertex: VertexStandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(1, 2, 3)
    connection.execute("UPDATE vector_spaces SET fingerprint = %s", (VERTEX,))
    arguments = ["--reembed", "--hub", "http://127.0.0.1:1", "--database-url", database_url]
    assert main(arguments) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"{VERTEX} has 32 dims in the database, 768 here" in said
    assert spaces(connection) == {VERTEX: 3}


def test_a_service_that_is_away_keeps_what_was_embedded(
    database_url: str,
    connection: Connection,
    load: Callable[..., None],
    vertex: VertexStandIn,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(1, 2, 3)
    monkeypatch.setattr(chosen_encoder, "FOR_LOADS", Patience(deadline_s=0.3))
    vertex.stop()
    assert main(["--reembed", "--hub", "http://127.0.0.1:1", "--database-url", database_url]) == 1
    assert "gives no vectors just now" in " ".join(capsys.readouterr().out.split())
    assert spaces(connection) == {VERTEX: 0, "old": 3}
