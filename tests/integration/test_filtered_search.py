"""pgvector filters after it scans: what makes a filtered search complete and exact all the same.

50,000 generated nodes (12,000 on the old server, whose index cannot scan on), tags on 50, 10, 1 and
0.1 % of them, before and after 30 % get another vector. One database serves the whole module:
making it takes most of the time.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
import psycopg
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from psycopg import sql

from contracts.errors import SettingsError
from contracts.records import KnowledgeNode, Search, Vectors
from store.database import Connection, connect, open_pool
from store.knowledge import (
    StoredSpace,
    make_index,
    register_space,
    tidy,
    upsert_nodes,
    upsert_vectors,
)
from store.retrieval import DEPTH, SERVER_OPTIONS, KnowledgeSearch, _search_sql
from tests.deployed_database import with_database
from tests.oldest_postgres import NEWEST, OLDEST, Server

NODES = {NEWEST: 50_000, OLDEST: 12_000}
DIMS, CLUSTERS, QUERIES, TOP = 64, 200, 60, 10
SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
SPACE = "generated"


@dataclass
class Corpus:
    """The generated nodes as the database holds them, and the questions."""

    url: str
    connection: Connection
    space: StoredSpace
    nodes: list[KnowledgeNode]
    vectors: Vectors
    tagged: dict[str, NDArray[np.intp]]
    questions: Vectors

    def exact(self, tag: str) -> list[set[str]]:
        """The ids of each question's nearest nodes with a tag, by comparing all of them."""
        rows = self.tagged[tag]
        order = np.argsort(-(self.questions @ self.vectors[rows].T), axis=1)[:, :TOP]
        return [{self.nodes[rows[place]].id for place in places} for places in order]


def _draw(random: np.random.Generator, centres: NDArray[np.float64], count: int) -> Vectors:
    points = centres[random.integers(len(centres), size=count)]
    points = points + 0.6 * random.normal(size=points.shape)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(postgres: Server, template_database: str) -> Iterator[Corpus]:
    size = NODES[postgres.version]
    random = np.random.default_rng(11)
    centres = random.normal(size=(CLUSTERS, DIMS))
    vectors = _draw(random, centres, size)
    tagged = {
        tag: np.sort(random.permutation(size)[: int(size * share)]) for tag, share in SHARES.items()
    }
    tags: list[list[str]] = [[] for _ in range(size)]
    for tag, rows in tagged.items():
        for row in rows:
            tags[row].append(tag)
    nodes = [
        KnowledgeNode(f"node-{row:05}", "The", "It is.", "/", "library", tuple(tags[row]))
        for row in range(size)
    ]
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE filtered TEMPLATE {}").format(
                sql.Identifier(template_database.split("/")[3].split("?")[0])
            )
        )
        url = with_database(postgres.url, "filtered")
        with connect(url) as connection:
            upsert_nodes(connection, nodes)
            space = register_space(connection, SPACE, dims=DIMS)
            upsert_vectors(connection, nodes, vectors, fingerprint=SPACE, space=space)
            make_index(connection, space)
            connection.execute("VACUUM ANALYZE")
            yield Corpus(
                url,
                connection,
                space,
                nodes,
                vectors,
                tagged,
                questions=_draw(random, centres, QUERIES),
            )
        admin.execute("DROP DATABASE filtered WITH (FORCE)")


@pytest_asyncio.fixture(scope="module")
async def search(corpus: Corpus) -> AsyncIterator[KnowledgeSearch]:
    pool = open_pool(corpus.url, size=1, options=SERVER_OPTIONS)
    await pool.open(wait=True)
    yield KnowledgeSearch(pool)
    await pool.close()


async def _ask(
    search: KnowledgeSearch, corpus: Corpus, tag: str
) -> tuple[list[list[str]], list[float]]:
    """Ask every question with the tag, one by one; return the ids found, and each one's ms."""
    found, took_ms = [], []
    for vector in corpus.questions:
        since = time.perf_counter()
        # The text matches nothing: the half by meaning is alone.
        (nodes,) = await search.search([Search("zzz", vector, SPACE, top_k=TOP, tags=(tag,))])
        took_ms.append((time.perf_counter() - since) * 1000)
        found.append([node.id for node in nodes])
    return found, took_ms


async def _prove(search: KnowledgeSearch, corpus: Corpus, tag: str) -> None:
    exact = corpus.exact(tag)
    # Another program's burst on the same cores is not the search's time: each one's best of three.
    runs = [await _ask(search, corpus, tag) for _ in range(3)]
    for found, _ in runs:
        assert all(len(ids) == TOP for ids in found)
        recall = sum(len(best & set(ids)) for best, ids in zip(exact, found, strict=True))
        assert recall / (TOP * QUERIES) >= 0.99
    p95_ms = float(np.quantile(np.min([took_ms for _, took_ms in runs], axis=0), 0.95))
    print(f"{tag}: p95 {p95_ms:.1f} ms")
    assert p95_ms <= 30


@pytest.mark.parametrize("tag", SHARES)
async def test_a_filtered_search_is_complete_exact_and_quick(
    search: KnowledgeSearch, corpus: Corpus, tag: str
) -> None:
    await _prove(search, corpus, tag)


async def test_a_connection_that_lacks_the_settings_is_refused(corpus: Corpus) -> None:
    pool = open_pool(corpus.url, size=1)
    await pool.open(wait=True)
    with pytest.raises(SettingsError, match="plan_cache_mode"):
        await KnowledgeSearch(pool).search([Search("zzz", corpus.questions[0], SPACE)])
    await pool.close()


async def test_what_the_search_runs_on_is_said_once(
    corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="store.retrieval")
    pool = open_pool(corpus.url, size=2, options=SERVER_OPTIONS)
    await pool.open(wait=True)
    search = KnowledgeSearch(pool)
    async with pool.connection():  # so that the first search and the second have one each
        await search.check()
    await asyncio.gather(search.check(), search.check())
    await pool.close()
    assert search.server is not None
    (said,) = [record for record in caplog.records if "pgvector" in record.getMessage()]
    if search.server.scans_on:
        assert (said.levelname, said.getMessage()) == (
            "INFO",
            f"Postgres {search.server.postgres}, pgvector 0.8.5: filtered searches go through the"
            " index",
        )
    else:
        assert said.levelname == "WARNING"
        assert "Postgres 16.2, pgvector 0.6.2: its index cannot scan on" in said.getMessage()


def _plain_scan(corpus: Corpus, tag: str) -> int:
    """How many rows the index alone gives all questions when it does not scan on."""
    with connect(corpus.url) as connection:
        connection.execute("SET hnsw.ef_search = 100")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        connection.execute("SET enable_sort = off")
        query = (
            f"SELECT stored.node FROM knowledge_vectors AS stored"
            f" WHERE stored.space = {corpus.space.id}"
            f" AND (SELECT node.tags @> ARRAY[%(tag)s] FROM knowledge_nodes AS node"
            f" WHERE node.number = stored.node)"
            f" ORDER BY stored.embedding::vector({DIMS}) <#> %(vector)s LIMIT {DEPTH}"
        )
        return sum(
            len(connection.execute(query, {"tag": tag, "vector": vector}).fetchall())
            for vector in corpus.questions
        )


@pytest.mark.parametrize("tag", ["tenth", "hundredth", "thousandth"])
def test_the_index_alone_loses_rows(corpus: Corpus, tag: str) -> None:
    assert _plain_scan(corpus, tag) < 0.6 * DEPTH * QUERIES


async def test_a_search_that_cannot_scan_on_is_complete_all_the_same(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = {**SERVER_OPTIONS, "hnsw.iterative_scan": "off"}
    monkeypatch.setattr("store.retrieval.SERVER_OPTIONS", off)
    # So that the comparison of few nodes does not hide what the index leaves out.
    monkeypatch.setattr("store.retrieval.FEW_NODES", 0)
    _search_sql.cache_clear()
    pool = open_pool(corpus.url, size=1, options=off)
    await pool.open(wait=True)
    for tag in SHARES:
        await _prove(KnowledgeSearch(pool), corpus, tag)
    await pool.close()
    _search_sql.cache_clear()


@pytest.fixture(scope="module")
def updated(corpus: Corpus) -> Corpus:
    """The corpus after 30 % of its nodes got another vector."""
    random = np.random.default_rng(12)
    rows = random.permutation(len(corpus.nodes))[: int(len(corpus.nodes) * 0.3)]
    centres = random.normal(size=(CLUSTERS, DIMS))
    corpus.vectors[rows] = _draw(random, centres, len(rows))
    changed = [corpus.nodes[row] for row in rows]
    upsert_vectors(
        corpus.connection, changed, corpus.vectors[rows], fingerprint=SPACE, space=corpus.space
    )
    return corpus


@pytest.mark.parametrize("tag", SHARES)
async def test_it_stays_so_while_30_percent_of_the_rows_are_dead(
    search: KnowledgeSearch, updated: Corpus, tag: str
) -> None:
    await _prove(search, updated, tag)


async def test_it_stays_so_after_the_bulk_change_is_tidied_up(
    search: KnowledgeSearch, updated: Corpus
) -> None:
    tidy(updated.connection)
    for tag in SHARES:
        await _prove(search, updated, tag)
