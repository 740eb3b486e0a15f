"""Personal data goes in at the door and is looked for in every store: there is none.

The same search finds it everywhere when the redaction seam is off, so it can fail.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from psycopg import sql
from redis.asyncio import Redis

from annotation.refresh import refresh_queue
from contracts.records import Vector, Vectors
from deployments.embedding_cache import CachedEncoder, SharedCache, Task
from graph import answering as answering_module
from graph import service as service_module
from graph.coalescer import Reply
from graph.http import build_http
from graph.service import Service
from store.database import Connection, Pool
from store.identity import issue_session
from store.logbook import Logbook
from tests.plain_stages import PlainStages, prediction
from tests.redis_server import RedisServer
from tests.samples import SECRET, locked, until
from training.snapshot import Places, SnapshotJob

SEEDED = {
    "ana.lopez@uni.edu": "why does ana.lopez@uni.edu get no mail",
    "ana dot lopez": "write to ana dot lopez at uni dot edu please",
    "555-867-5309": "call me at 555-867-5309 about my bill",
    "7946 0958": "i left my key, +44 20 7946 0958",
    "A00987654": "hold on my account, A00987654",
    "７６５４３２１": "my student id is ７６５４３２１",
    "4111 1111 1111 1111": "my card 4111 1111 1111 1111 was declined",
    "X7654321": "is my passport number X7654321 enough",
    "Quillfeather": "my name is Ana Quillfeather and i lost my card",
    "quillfeather": "hi this is ana quillfeather from bio 101",
    "123-45-6789": "my ssn is 123-45-6789",
}
"""What must be nowhere, and the query that says it."""

Found = dict[str, list[str]]


@dataclass
class CachingStages(PlainStages):
    """Plain stages, but texts are embedded through both real caches."""

    cache: CachedEncoder | None = None
    fingerprint: str = "space"
    dims: int = 2
    encoded: list[str] = field(default_factory=list)

    async def encode(self, texts: list[str], *, task: Task) -> Vectors:
        self.encoded += texts
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)

    async def embed(self, texts: list[str], waiting: int) -> Reply[tuple[str, Vector] | None]:
        assert self.cache is not None
        vectors = await self.cache.embed(texts, task="query")
        return Reply([vector if vector is None else ("space", vector) for vector in vectors], "e")


@dataclass
class House:
    """One hub's stores, and its door."""

    home: Path
    database_url: str
    redis: Redis
    client: httpx.AsyncClient
    service: Service
    cache: CachedEncoder

    async def ask(self, text: str, *, request_id: str | None = None) -> str:
        """Ask, and return the interaction's id."""
        body = {"text": text, "request_id": request_id}
        answer = await self.client.post("/v1/query", json=body)
        assert answer.status_code == 200
        return str(answer.json()["interaction_id"])

    async def comment(self, interaction_id: str, text: str) -> None:
        """Press thumbs down, and say it again."""
        thumb = {"interaction_id": interaction_id, "score": -1, "comment": text}
        given = await self.client.post("/v1/feedback", json=thumb)
        assert given.status_code in (200, 202)

    def files(self) -> Found:
        """Return what is found in files under the home, and in their names."""
        found: Found = {}
        for file in self.home.rglob("*"):
            said = str(file)
            if file.suffix == ".parquet":  # compressed
                said += str(pq.read_table(file).to_pylist())
            elif file.is_file():
                said += file.read_bytes().decode(errors="ignore")
            name = file.relative_to(self.home).parts[0]
            found.setdefault(name, []).extend(needles_in(said))
        return {name: hits for name, hits in found.items() if hits}

    def tables(self, connection: Connection) -> Found:
        """Return what is found in each table, every row cast to text."""
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        found: Found = {}
        for (name,) in names:
            query = sql.SQL("SELECT coalesce(string_agg(t::text, ' '), '') FROM {} t")
            row = connection.execute(query.format(sql.Identifier(name))).fetchone()
            assert row is not None
            if hits := needles_in(row[0]):
                store = "interaction_log" if name.startswith("interaction_log") else name
                found.setdefault(store, []).extend(hits)
        return found

    async def redis_hits(self) -> tuple[int, list[str]]:
        """Return how many keys Redis holds, and what is found in them and their values."""
        keys = [key async for key in self.redis.scan_iter()]
        said = b" ".join([*keys, *[await self.redis.get(key) or b"" for key in keys]])
        return len(keys), needles_in(said.decode(errors="ignore"))


def needles_in(text: str) -> list[str]:
    return [needle for needle in SEEDED if needle in text]


@pytest.fixture
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a real Redis of the test's own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.socket


@pytest_asyncio.fixture
async def house(
    log_pool: Pool, database_url: str, tmp_path: Path, redis_socket: Path
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        redis = Redis(unix_socket_path=str(redis_socket))
        stack.push_async_callback(redis.aclose)
        stages = CachingStages(says=prediction(0.45, 0.41))
        shared = SharedCache(redis, secret=SECRET, timeout_s=2.0)
        stages.cache = CachedEncoder(stages, entries=100, shared=shared)
        logbook = Logbook(log_pool, root=tmp_path / "spool", retention_days=7)
        stack.push_async_callback(logbook.close)
        service = stages.service(log_pool, logbook=logbook, home=tmp_path)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(build_http(lambda: service)),
            base_url="http://hub",
            headers={"X-Hub-Session": issue_session(secret=SECRET)[1]},
        )
        stack.push_async_callback(client.aclose)
        yield House(tmp_path, database_url, redis, client, service, stages.cache)


class OneHot:
    """An encoder to which no two texts are alike."""

    def encode(self, texts: list[str]) -> Vectors:
        return np.eye(len(texts), len(SEEDED), dtype=np.float32)


async def search(house: House, owner: Connection) -> Found:
    """Seed, and look into each store while the rows are in it."""
    async with locked(house.database_url, "interaction_log"):
        texts = list(SEEDED.values())
        interaction_ids = [await house.ask(text) for text in texts]
        await house.comment(interaction_ids[0], texts[0])
        found = house.files()  # the rows wait in the spool
    for interaction_id, text in zip(interaction_ids, texts, strict=True):
        await house.comment(interaction_id, text)
    await house.ask(texts[0], request_id=str(uuid.uuid4()))
    await asyncio.gather(*house.cache._tasks)
    await until(lambda: not house.service._logbook.depth)
    refresh_queue(owner, encoder=OneHot(), now=datetime.now(UTC))
    found |= house.tables(owner)
    SnapshotJob(
        Places(house.database_url, str(house.home / "artifacts")),
        margin_s=0,
        report=lambda line: None,
    ).take(datetime.now(UTC).date(), so_far=True)
    found |= house.files()
    keys, hits = await house.redis_hits()
    assert keys == len(SEEDED)
    return found | ({"redis": hits} if hits else {})


async def test_personal_data_is_in_no_store(
    house: House, owner: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ray.serve")
    assert await search(house, owner) == {}
    assert needles_in(caplog.text) == []
    # It was all there, but for what it said of a person.
    counts = owner.execute(
        "SELECT count(*), count(feedback_comment), (SELECT count(*) FROM review_items)"
        " FROM interaction_log"
    ).fetchone()
    assert counts == (len(SEEDED) + 1, len(SEEDED), len(SEEDED))


async def test_the_same_search_finds_it_in_every_store_when_the_seam_is_off(
    house: House, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (answering_module, service_module):
        monkeypatch.setattr(module, "redact", lambda text: text)
    found = await search(house, owner)
    stores = {"spool", "artifacts", "interaction_log", "review_items"}
    assert set(found) == stores, "Redis holds digests and vectors, and shows nothing even so"
    for name in stores:
        assert set(found[name]) == set(SEEDED), name
