"""A Postgres a session and version, and for each test a database cloned from a template."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from store.database import Connection, Pool, connect, open_pool
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres_process import binaries
from store.retrieval import SERVER_OPTIONS
from tests.oldest_postgres import NEWEST, OLDEST, Server, oldest_postgres

TEMPLATE = "hub_template"
UNSAFE = {"fsync": "off", "full_page_writes": "off"}
"""Nothing in a server of the tests outlives the session."""
_numbers = itertools.count(1)


def with_database(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


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
    ]
}
"""The store's own: between them they run every statement, so each runs on both servers in every
`make test`. What else needs a database runs on the old one in `make prove`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a server on the embedded Postgres, and on the oldest one."""
    if "postgres" in metafunc.fixturenames:
        file = metafunc.module.__name__.rpartition(".")[2]
        marks = () if file in ON_BOTH else (pytest.mark.prove,)
        versions = [NEWEST, pytest.param(OLDEST, marks=marks)]
        metafunc.parametrize("postgres", versions, indirect=True, scope="session")


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
    """The URL of a database with every migration applied; cloned, never connected to by a test."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    url = with_database(postgres.url, TEMPLATE)
    with connect(url, vectors=False) as connection:
        migrate(connection)
    return url


@pytest.fixture
def empty_database_url(postgres: Server) -> Iterator[str]:
    """The URL of a database without any table."""
    yield from _clone(postgres.url, template="template0")


@pytest.fixture
def database_url(postgres: Server, template_database: str) -> Iterator[str]:
    """The URL of this test's own database, migrations applied."""
    yield from _clone(postgres.url, template=urlsplit(template_database).path.lstrip("/"))


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """One connection to this test's own database, in autocommit, pgvector registered."""
    with connect(database_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """An open pool over this test's own database, set up as the retriever's."""
    opened = open_pool(database_url, size=2, options=SERVER_OPTIONS)
    await opened.open(wait=True)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def log_pool(database_url: str) -> AsyncIterator[Pool]:
    """An open pool over this test's own database, set up as the ingress's, which writes the log."""
    opened = open_pool(database_url, size=4)
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
