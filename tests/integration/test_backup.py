"""A backup that was never restored is none: the runbook's dump, restored on a server of its own.

The commands are those of docs/runbook.md, "Backup and restore". There the administrator may make
extensions, which here takes a superuser.
"""

import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from contracts.records import KnowledgeNode, RetrievedNode, Search
from contracts.settings import PROJECT
from store.database import Connection, connect, open_pool
from store.embedded import EmbeddedPostgres
from store.erased_rows import bury
from store.knowledge import make_index, register_space, tidy, upsert_nodes, upsert_vectors
from store.labels import give_label, read_verified
from store.logbook import Logbook
from store.migrate import migrate
from store.partitions import keep_partitions
from store.postgres_process import binaries
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch
from tests.deployed_database import (
    APP,
    OWNER,
    REPORT,
    as_user,
    make_deployed_database,
    make_empty_database,
    with_database,
)
from tests.integration.conftest import UNSAFE
from tests.oldest_postgres import NEWEST, OLDEST, Server, oldest_postgres
from tests.review_samples import add_item, add_people
from tests.samples import interaction, store, thumb, until

SPACE, DIMS, NODES = "space", 16, 200
RUNBOOK = PROJECT / "docs" / "runbook.md"


@pytest.fixture(scope="module")
def second(postgres: Server) -> Iterator[Server]:
    """A fresh server of the same version: nothing of the first one is on it."""
    with tempfile.TemporaryDirectory(prefix="hub-restored-") as folder:
        if postgres.version == OLDEST:
            with oldest_postgres(Path(folder), options=UNSAFE) as server:
                yield server
        else:
            with EmbeddedPostgres(Path(folder), options=UNSAFE) as embedded:
                yield Server(NEWEST, embedded.url, binaries())


def _vector(number: int) -> Any:
    made = np.random.default_rng(number).normal(size=DIMS).astype(np.float32)
    return made / np.linalg.norm(made)


async def _fill(url: str) -> None:
    """Knowledge with an index as the owner; a log, labels and a tombstone as what serves."""
    with connect(as_user(url, OWNER)) as owner:
        nodes = [
            KnowledgeNode(f"n{i:03}", f"Topic {i}", "Ask the registrar.", "/", "library", ("t",))
            for i in range(NODES)
        ]
        upsert_nodes(owner, nodes)
        space = register_space(owner, SPACE, dims=DIMS)
        vectors = np.stack([_vector(i) for i in range(NODES)])
        upsert_vectors(owner, nodes, vectors, fingerprint=SPACE, space=space)
        make_index(owner, space)
        tidy(owner)
    pool = open_pool(as_user(url, APP), size=2)
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await keep_partitions(connection, today=datetime.now(UTC), retention_days=30)
    asked = [interaction(query_text=f"where is room {i}") for i in range(30)]
    await store(pool, *asked, thumb(asked[0]), thumb(asked[1], score=-1))
    await pool.close()
    with connect(as_user(url, APP), vectors=False) as app:
        add_people(app, ana="reviewer", ben="reviewer")
        add_item(app, "item", members=3)
        for name in ("ana", "ben"):
            give_label(app, item_id="item", reviewer=name, intent="housing")
        bury(app, "a session that was erased")


@pytest_asyncio.fixture
async def filled_url(postgres: Server) -> AsyncIterator[str]:
    make_deployed_database(postgres.url, "backed_up")
    url = with_database(postgres.url, "backed_up")
    await _fill(url)
    yield url
    with connect(postgres.url, vectors=False) as superuser:
        superuser.execute("DROP DATABASE backed_up WITH (FORCE)")


def _commands() -> list[str]:
    """The runbook's commands between "dump and restore" and the next fence."""
    (block,) = re.findall(
        r"<!-- rehearsed -->\n```console\n(.*?)```", RUNBOOK.read_text(), flags=re.DOTALL
    )
    lines = block.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").partition("  #")[0] for line in lines if line.startswith("$ ")]


def _restore(server: Server, *, old_url: str, new_url: str, folder: Path) -> None:
    """Run the runbook's commands with this server's programs, on these databases."""
    for command in _commands():
        told = command.replace("OLD_URL", f"'{old_url}'").replace("NEW_URL", f"'{new_url}'")
        program = told.split()[0]
        done = subprocess.run(
            ["/bin/sh", "-c", told],
            cwd=folder,
            capture_output=True,
            text=True,
            env={"PATH": f"{server.programs}:/usr/bin:/bin", "LC_ALL": "C"},
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


def _state(connection: Connection) -> dict[str, Any]:
    """Every table's rows as a digest, its owner and rights; every index, partition and function."""
    tables = connection.execute(
        "SELECT c.relname, pg_get_userbyid(c.relowner), c.relacl::text FROM pg_class AS c"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')"
        " ORDER BY 1"
    ).fetchall()
    state: dict[str, Any] = {}
    for name, owner, rights in tables:
        rows = connection.execute(
            f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} AS t"
        ).fetchone()
        state[name] = (owner, rights, rows)
    for what in (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT proname, prosecdef, proacl::text, proconfig, pg_get_userbyid(proowner) FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND proname LIKE '%interaction_day'",
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'interaction_log'::regclass",
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
        " WHERE indrelid = 'knowledge_vectors'::regclass",
    ):
        state[what] = sorted(connection.execute(what).fetchall())
    return state


async def _found(url: str) -> list[list[RetrievedNode]]:
    pool = open_pool(as_user(url, APP), size=1, options=SERVER_OPTIONS)
    await pool.open(wait=True)
    found = await KnowledgeSearch(pool).search(
        [
            Search("topic 7", _vector(7), SPACE),
            Search("registrar", None, None, tags=("t",)),
            Search("zebra", _vector(30), SPACE, top_k=20, tags=("t",)),
        ]
    )
    await pool.close()
    return found


async def test_what_was_dumped_is_restored_whole_and_serves(
    filled_url: str, second: Server, tmp_path: Path
) -> None:
    make_empty_database(second.url, "restored")
    new_url = with_database(second.url, "restored")
    _restore(second, old_url=filled_url, new_url=new_url, folder=tmp_path)

    with connect(filled_url) as old, connect(new_url) as new:
        assert _state(new) == _state(old)
    assert await _found(new_url) == await _found(filled_url)
    with connect(as_user(new_url, OWNER)) as owner:
        assert migrate(owner) == []
        owner.execute("SET enable_seqscan = off")
        plan = owner.execute(
            "EXPLAIN SELECT node FROM knowledge_vectors WHERE space = 1"
            f" ORDER BY embedding::vector({DIMS}) <#> '{_vector(7).tolist()}' LIMIT 5"
        ).fetchall()
        assert any("knowledge_vectors_hnsw_1" in line for (line,) in plan)
        # New rows get numbers behind the restored ones.
        upsert_nodes(owner, [KnowledgeNode("new", "New", "New.", "/", "library")])
    with connect(as_user(new_url, APP), vectors=False) as app:
        assert [one.intent for one in read_verified(app)] == ["housing"]
    with connect(as_user(new_url, REPORT), vectors=False) as reporter:
        ((rows,),) = reporter.execute("SELECT count(*) FROM interaction_log").fetchall()
    assert rows == 30
    await _goes_on(new_url, tmp_path)


async def _goes_on(url: str, folder: Path) -> None:
    """What a hub writes is kept, and what a session asks that was erased is not."""
    pool = open_pool(as_user(url, APP), size=2)
    await pool.open(wait=True)
    logbook = Logbook(pool, root=folder / "spool", retention_days=30)
    await logbook.write(interaction())
    await logbook.write(interaction(session_id="a session that was erased"))
    await until(lambda: logbook.depth == 0)
    await logbook.close()
    await pool.close()
    with connect(as_user(url, APP), vectors=False) as app:
        ((rows,),) = app.execute("SELECT count(*) FROM interaction_log").fetchall()
    assert rows == 31
