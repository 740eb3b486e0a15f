"""A Postgres a session and version, and for each test a database cloned from a template."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from store.database import Connection, Pool, connect, open_pool
from store.embedded import EmbeddedPostgres
from store.postgres_process import binaries
from store.retrieval import SERVER_OPTIONS
from tests.deployed_database import (
    APP,
    OWNER,
    as_user,
    make_deployed_database,
    with_database,
)
from tests.oldest_postgres import NEWEST, OLDEST, Server, oldest_postgres

TEMPLATE = "hub_template"
UNSAFE = {"fsync": "off", "full_page_writes": "off"}
"""Nothing in a server of the tests outlives the session."""
_numbers = itertools.count(1)


ON_BOTH = {
    f"test_{what}"
    for what in [
        "backup",
        "filtered_search",
        "retrieval",
        "knowledge",
        "unembedded",
        "migrate",
        "partitions",
        "interactions",
        "request_claims",
        "labels",
        "verified_labels",
        "erasure",
        "report",
        "roles",
        "snapshot",
        "sql_names",
    ]
}
"""The store's own: between them they run every statement, so each runs on both servers in every
`make test`. What else needs a database runs on the old one in `make prove`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a server on the embedded Postgres, and on the oldest one."""
    if "postgres" in metafunc.fixturenames:
        marks = () if _file(metafunc.module) in ON_BOTH else (pytest.mark.prove,)
        versions = [NEWEST, pytest.param(OLDEST, marks=marks)]
        metafunc.parametrize("postgres", versions, indirect=True, scope="session")


OF_THE_OWNER = {
    f"test_{what}"
    for what in [
        "bulk_embedding",
        "knowledge",
        "knowledge_load",
        "migrate_vectors",
        "prepare",
        "rag_health",
        "reembed",
        "retrieval",
        "unembedded",
    ]
}
"""Files that load knowledge, which is the owner's work. All others work as what serves does."""


def _file(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A running server of this session's own, of the asked version."""
    # Not under pytest's own folder: each session that starts closes that to all other accounts,
    # and for root's hub Postgres runs under one.
    with tempfile.TemporaryDirectory(prefix="hub-postgres-") as home:
        if request.param == OLDEST:
            with oldest_postgres(Path(home), options=UNSAFE) as server:
                yield server
        else:
            with EmbeddedPostgres(Path(home), options=UNSAFE) as embedded:
                yield Server(NEWEST, embedded.url, binaries())


@pytest.fixture
def server_home() -> Iterator[Path]:
    """An empty home for a server of the test's own; not under pytest's folder, as above."""
    with tempfile.TemporaryDirectory(prefix="hub-home-") as home:
        yield Path(home)


@pytest.fixture(scope="session")
def template_database(postgres: Server) -> str:
    """The URL of a database with every migration applied; cloned, never connected to by a test.

    Made as on Cloud SQL: an administrator who is no superuser made the roles, hub_owner the tables.
    """
    make_deployed_database(postgres.url, TEMPLATE)
    return with_database(postgres.url, TEMPLATE)


@pytest.fixture
def empty_database_url(postgres: Server) -> Iterator[str]:
    """The URL of a database without any table."""
    yield from _clone(postgres.url, template="template0")


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, postgres: Server, template_database: str
) -> Iterator[str]:
    """The URL of this test's own database, migrations applied, for the role that its file is of."""
    user = OWNER if _file(request.module) in OF_THE_OWNER else APP
    name = urlsplit(template_database).path.lstrip("/")
    yield from (as_user(url, user) for url in _clone(postgres.url, template=name))


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """One connection to this test's own database, in autocommit, pgvector registered."""
    with connect(database_url) as opened:
        yield opened


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    """The same as hub_owner, for what a test changes that serving never does."""
    with connect(as_user(database_url, OWNER)) as opened:
        yield opened


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """An open pool over this test's own database, set up as the retriever's: as hub_app."""
    opened = open_pool(as_user(database_url, APP), size=2, options=SERVER_OPTIONS)
    await opened.open(wait=True)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def log_pool(database_url: str) -> AsyncIterator[Pool]:
    """An open pool over this test's own database, set up as the ingress's, as hub_app."""
    opened = open_pool(as_user(database_url, APP), size=4)
    await opened.open(wait=True)
    yield opened
    await opened.close()


def _clone(server_url: str, *, template: str) -> Iterator[str]:
    name = f"hub_test_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        yield with_database(server_url, name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
