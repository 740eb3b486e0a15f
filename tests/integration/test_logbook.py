"""The logbook: nothing is lost and nothing is kept twice, whatever becomes of the database."""

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import orjson
import psycopg
import pytest
import pytest_asyncio

from contracts.records import Interaction
from contracts.settings import PROJECT
from store import database as database_module
from store import logbook as logbook_module
from store.database import Pool, connect, open_pool
from store.embedded import EmbeddedPostgres
from store.interactions import store_rows
from store.logbook import REJECTED, Logbook, NotCommitted
from store.migrate import migrate
from store.partitions import keep_partitions
from store.spool import Spool
from tests.samples import interaction, locked, thumb, until

MakeLogbook = Callable[..., Logbook]

WITHOUT_PARTITIONS = pytest.mark.parametrize("partitions", [False], indirect=True)


@pytest_asyncio.fixture(autouse=True)
async def partitions(request: pytest.FixtureRequest, log_pool: Pool) -> None:
    """This week's partitions are there, unless a test says otherwise.

    Who reads the log while its first rows move into their partition may miss them for a moment.
    """
    if not getattr(request, "param", True):
        return
    async with log_pool.connection() as connection:
        await keep_partitions(connection, today=datetime.now(UTC), retention_days=7)


@pytest_asyncio.fixture
async def make_logbook(log_pool: Pool, tmp_path: Path) -> AsyncIterator[MakeLogbook]:
    """Makes logbooks over this test's own database and folder, and closes them after it."""
    async with AsyncExitStack() as stack:

        def make(pool: Pool = log_pool, **settings: Any) -> Logbook:
            logbook = Logbook(pool, root=tmp_path, retention_days=7, **settings)
            stack.push_async_callback(logbook.close)
            return logbook

        yield make


class Log:
    """What Postgres holds. Looked at without blocking the loop in which the logbook writes."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def ids(self) -> list[str]:
        return [
            one
            for (one,) in await self.rows("SELECT interaction_id FROM interaction_log ORDER BY 1")
        ]

    async def scores(self) -> list[int | None]:
        return [one for (one,) in await self.rows("SELECT feedback_score FROM interaction_log")]


@pytest.fixture
def stored(database_url: str) -> Log:
    return Log(database_url)


async def written(logbook: Logbook, *, rows: int) -> list[str]:
    """Write so many interactions and return their ids, in order."""
    records = [interaction() for _ in range(rows)]
    for record in records:
        await logbook.write(record)
    return sorted(record.interaction_id for record in records)


# ---- while all is well ------------------------------------------------------------------------


async def test_what_is_written_is_in_postgres_within_a_second(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    counted: Counter[str] = Counter()
    logbook = make_logbook(count_stored=lambda kind, rows: counted.update({kind: rows}))
    ids = await written(logbook, rows=50)
    assert logbook.depth == 50
    began_s = time.monotonic()
    await until(lambda: logbook.depth == 0)
    assert time.monotonic() - began_s < 5  # 0.25 s on a machine with nothing else to do
    assert await stored.ids() == ids
    assert counted == {"interaction": 50}
    assert list(tmp_path.glob("*/*.jsonl")) == []


async def test_writing_waits_for_no_database(make_logbook: MakeLogbook, database_url: str) -> None:
    logbook = make_logbook()
    async with locked(database_url, "interaction_log"):
        began_s = time.monotonic()
        await written(logbook, rows=20)
        assert time.monotonic() - began_s < 1
        assert logbook.depth == 20
    await until(lambda: logbook.depth == 0)


@WITHOUT_PARTITIONS
async def test_the_days_partitions_are_made_at_the_start(
    make_logbook: MakeLogbook, stored: Log
) -> None:
    make_logbook()

    async def all_made() -> bool:
        children = await stored.rows(
            "SELECT FROM pg_inherits WHERE inhparent = 'interaction_log'::regclass"
        )
        return len(children) == 10  # nine days and the default

    await until(all_made)


@WITHOUT_PARTITIONS
async def test_rows_that_come_while_the_first_partitions_are_made_are_all_kept(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    logbooks = [make_logbook() for _ in range(3)]
    ids: list[str] = []
    for _ in range(10):
        for logbook in logbooks:
            ids += await written(logbook, rows=5)
        await asyncio.sleep(0.03)
    await until(lambda: not any(logbook.depth for logbook in logbooks))
    assert await stored.ids() == sorted(ids)
    assert not (tmp_path / REJECTED).exists()


async def test_a_thumb_on_a_stored_row_is_there_at_once(
    make_logbook: MakeLogbook, stored: Log
) -> None:
    logbook = make_logbook()
    asked = interaction()
    await logbook.write(asked)
    await until(lambda: logbook.depth == 0)
    assert await logbook.give(thumb(asked, score=-1))
    assert await stored.scores() == [-1]


async def test_a_thumb_that_overtakes_its_row_is_applied_when_the_row_is_stored(
    make_logbook: MakeLogbook, stored: Log
) -> None:
    logbook = make_logbook()
    asked = interaction()
    assert not await logbook.give(thumb(asked, score=-1, comment="no"))
    await logbook.write(asked)
    await until(lambda: logbook.depth == 0)
    found = await stored.rows("SELECT feedback_score, feedback_comment FROM interaction_log")
    assert found == [(-1, "no")]


async def test_a_thumb_is_kept_when_the_database_hangs(
    make_logbook: MakeLogbook, stored: Log, database_url: str
) -> None:
    logbook = make_logbook()
    asked = interaction()
    await logbook.write(asked)
    await until(lambda: logbook.depth == 0)
    async with locked(database_url, "interaction_log"):
        began_s = time.monotonic()
        assert not await logbook.give(thumb(asked, score=-1))
        assert time.monotonic() - began_s < 5
    await until(lambda: logbook.depth == 0)
    assert await stored.scores() == [-1]


# ---- waiting for the commit -------------------------------------------------------------------


async def test_on_commit_a_write_returns_when_postgres_has_the_row(
    make_logbook: MakeLogbook, stored: Log
) -> None:
    logbook = make_logbook(on_commit=True)
    for _ in range(3):
        asked = interaction()
        await logbook.write(asked)
        assert asked.interaction_id in await stored.ids()


async def test_on_commit_many_writes_share_commits_and_none_waits_for_those_after_it(
    make_logbook: MakeLogbook, stored: Log
) -> None:
    """Writers that never pause must not keep each other waiting for the spool to be empty."""
    logbook = make_logbook(on_commit=True)
    stop = asyncio.Event()
    waits_s: list[float] = []

    async def write_on_and_on() -> None:
        while not stop.is_set():
            began_s = time.monotonic()
            await logbook.write(interaction())
            waits_s.append(time.monotonic() - began_s)

    async def write_in_between() -> None:
        # Rows that nobody waits for: the spool is never empty.
        while not stop.is_set():
            logbook._spool.append(interaction())
            await asyncio.sleep(0.0005)

    writers = [asyncio.create_task(write_on_and_on()) for _ in range(20)]
    writers.append(asyncio.create_task(write_in_between()))
    await asyncio.sleep(0.5)
    stop.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*writers)
    assert len(waits_s) >= 40
    assert max(waits_s) < 3
    await until(lambda: logbook.depth == 0)
    assert len(await stored.ids()) > len(waits_s)


async def test_on_commit_a_write_that_is_not_confirmed_says_so_and_is_stored_later(
    make_logbook: MakeLogbook,
    stored: Log,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logbook_module, "COMMIT_WITHIN_S", 0.2)
    logbook = make_logbook(on_commit=True)
    asked = interaction()
    async with locked(database_url, "interaction_log"):
        with pytest.raises(NotCommitted):
            await logbook.write(asked)
    await until(lambda: logbook.depth == 0)
    assert await stored.ids() == [asked.interaction_id]


async def test_on_commit_a_write_outlasts_a_try_that_failed(
    make_logbook: MakeLogbook, stored: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def failing_once(*args: Any, **kwargs: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise psycopg.OperationalError("the connection was lost")
        await store_rows(*args, **kwargs)

    monkeypatch.setattr(logbook_module, "store_rows", failing_once)
    logbook = make_logbook(on_commit=True)
    asked = interaction()
    await logbook.write(asked)
    assert tries == 2
    assert await stored.ids() == [asked.interaction_id]


# ---- rows that are refused, and errors that nobody thought of ---------------------------------


async def test_one_poisoned_row_blocks_no_other_and_is_set_aside_alone(
    make_logbook: MakeLogbook,
    stored: Log,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: Counter[str] = Counter()
    logbook = make_logbook(
        on_commit=True,
        count_stored=lambda kind, rows: counted.update({kind: rows}),
        count_refused=lambda: counted.update(["refused"]),
    )
    poisoned = interaction(query_text="nobody can store\x00this")
    records = [interaction(), poisoned, interaction()]
    await asyncio.gather(*[logbook.write(record) for record in records])
    later = await written(logbook, rows=1)
    good = [one.interaction_id for one in records if one is not poisoned]
    assert await stored.ids() == sorted(good + later)
    lines = (tmp_path / REJECTED).read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == [
        {"kind": "Interaction", "row": orjson.loads(orjson.dumps(poisoned))}
    ]
    assert logbook.depth == 0
    assert counted == {"interaction": 3, "refused": 1}
    assert "refused" in caplog.text
    assert "nobody can store" not in caplog.text


async def test_a_poisoned_thumb_is_set_aside_too(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    logbook = make_logbook()
    asked = interaction()
    logbook._spool.append(thumb(asked, score=7))
    await logbook.write(asked)
    await until(lambda: logbook.depth == 0)
    assert await stored.ids() == [asked.interaction_id]
    (line,) = (tmp_path / REJECTED).read_bytes().splitlines()
    assert orjson.loads(line)["kind"] == "Feedback"


async def test_rejected_rows_that_were_mended_can_be_given_back_to_the_spool(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    logbook = make_logbook(on_commit=True)
    await logbook.write(interaction(query_text="a\x00b"))
    mended = (tmp_path / REJECTED).read_text().replace("\\u0000", " ")
    folder = tmp_path / "by-hand"
    folder.mkdir()
    (folder / "1.jsonl").write_text(mended)
    (folder / "lock").touch()
    make_logbook()
    await until(stored.ids)
    assert await stored.rows("SELECT query_text FROM interaction_log") == [("a b",)]


async def test_an_error_that_nobody_thought_of_is_told_and_the_next_try_comes(
    make_logbook: MakeLogbook,
    stored: Log,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logbook_module, "FLUSH_RETRY_S", 0.05)
    tries: list[Exception] = [
        RuntimeError("a surprise"),
        psycopg.errors.ReadOnlySqlTransaction("a standby"),
        psycopg.errors.UndefinedTable("no such table"),
    ]

    async def failing(*args: Any, **kwargs: Any) -> None:
        if tries:
            raise tries.pop(0)
        await store_rows(*args, **kwargs)

    monkeypatch.setattr(logbook_module, "store_rows", failing)
    logbook = make_logbook()
    ids = await written(logbook, rows=3)
    await until(lambda: logbook.depth == 0)
    assert await stored.ids() == ids
    for word in ("a surprise", "a standby", "no such table"):
        assert word in caplog.text


async def test_housekeeping_that_fails_is_tried_again(
    make_logbook: MakeLogbook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logbook_module, "HOUSEKEEPING_RETRY_S", 0.02)
    tries = 0

    async def failing(*args: Any, **kwargs: Any) -> list[str]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise psycopg.errors.LockNotAvailable("a long read")
        if tries == 2:
            raise RuntimeError("a surprise")
        return ["interaction_log_20200101"]

    monkeypatch.setattr(logbook_module, "keep_partitions", failing)
    with caplog.at_level(logging.INFO):
        make_logbook()
        await until(lambda: tries >= 3)
        await asyncio.sleep(0.05)
    assert tries == 3
    assert "a surprise" in caplog.text
    assert "dropped past retention: interaction_log_20200101" in caplog.text


# ---- other processes --------------------------------------------------------------------------

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from store.spool import Spool
from tests.samples import interaction

spool = Spool(Path(sys.argv[1]))
for _ in range(500):
    row = interaction()
    spool.append(row)
    print(row.interaction_id, flush=True)
time.sleep(60)
"""


async def test_the_rows_of_a_killed_process_are_adopted_and_stored_once(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WRITE_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as other:
        assert other.stdout is not None
        ids = sorted(other.stdout.readline().strip() for _ in range(500))
        other.send_signal(signal.SIGKILL)
    adopters = [make_logbook() for _ in range(3)]

    async def all_stored() -> bool:
        return await stored.ids() == ids

    await until(all_stored)
    await until(lambda: len(list(tmp_path.iterdir())) == len(adopters))


async def test_a_spool_that_cannot_be_read_holds_up_no_other_orphan(
    make_logbook: MakeLogbook,
    stored: Log,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    strange = tmp_path / "000"
    strange.mkdir()
    (strange / "lock").touch()
    (strange / "1.jsonl").write_text('{"kind": "Novelty", "row": {}}\n')
    sound = Spool(tmp_path)
    asked = interaction()
    sound.append(asked)
    sound.close()
    make_logbook()
    await until(stored.ids)
    assert await stored.ids() == [asked.interaction_id]
    assert (strange / "1.jsonl").exists()
    assert "cannot be stored" in caplog.text


async def test_closing_stores_what_is_left(
    make_logbook: MakeLogbook, stored: Log, tmp_path: Path
) -> None:
    logbook = make_logbook()
    ids = await written(logbook, rows=30)
    await logbook.close()
    assert await stored.ids() == ids
    assert list(tmp_path.iterdir()) == []
    await logbook.close()  # again: nothing


async def test_closing_ends_also_when_a_cancellation_is_lost_in_a_library(
    make_logbook: MakeLogbook, stored: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Python 3.11 `asyncio.wait_for`, which the pool uses, loses one now and then."""
    started = asyncio.Event()

    async def losing(*args: Any, **kwargs: Any) -> None:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await store_rows(*args, **kwargs)

    monkeypatch.setattr(logbook_module, "store_rows", losing)
    logbook = make_logbook()
    ids = await written(logbook, rows=1)
    await started.wait()
    began_s = time.monotonic()
    await logbook.close()
    assert time.monotonic() - began_s < 3
    assert await stored.ids() == ids


# ---- a database that goes away ----------------------------------------------------------------


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that may be killed: no other test's."""
    with (
        tempfile.TemporaryDirectory(prefix="hub-postgres-") as home,
        EmbeddedPostgres(Path(home), options={"fsync": "off"}) as server,
    ):
        with connect(server.url, vectors=False) as connection:
            migrate(connection)
        yield server


@pytest_asyncio.fixture
async def mortal(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pool]:
    """A pool over an empty log on the server that may be killed; it is running again after."""
    monkeypatch.setattr(database_module, "RECONNECT_FOR_S", 0.5)
    with connect(own_postgres.url) as connection:
        connection.execute("TRUNCATE interaction_log, pending_feedback")
    pool = open_pool(own_postgres.url, size=2)
    await pool.open(wait=True)
    yield pool
    await pool.close()
    await asyncio.to_thread(own_postgres.start)


async def test_no_row_is_lost_or_doubled_when_postgres_is_killed_while_rows_are_written(
    make_logbook: MakeLogbook, mortal: Pool, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    logbooks = [make_logbook(mortal) for _ in range(2)]
    ids: list[str] = []
    asked: list[Interaction] = []
    stop = asyncio.Event()

    async def write_on_and_on(logbook: Logbook) -> None:
        while not stop.is_set():
            record = interaction()
            began_s = time.monotonic()
            await logbook.write(record)
            assert time.monotonic() - began_s < 0.5
            ids.append(record.interaction_id)
            asked.append(record)
            await asyncio.sleep(0.002)

    writers = [asyncio.create_task(write_on_and_on(logbook)) for logbook in logbooks]
    thumbs: list[asyncio.Task[bool]] = []
    for score in (1, -1):
        await asyncio.sleep(0.4)
        own_postgres.kill()
        given = thumb(asked[0], score=score, after_s=len(ids))
        thumbs.append(asyncio.create_task(logbooks[0].give(given)))
        await asyncio.sleep(0.3)
        # In this thread: the server lives no longer than the thread that starts it.
        own_postgres.start()
    stop.set()
    await asyncio.gather(*writers, *thumbs)
    await until(lambda: not any(logbook.depth for logbook in logbooks))
    stored = Log(own_postgres.url)
    assert await stored.ids() == sorted(ids)
    assert await stored.rows(
        "SELECT feedback_score FROM interaction_log WHERE interaction_id = %s", ids[0]
    ) == [(-1,)]
    assert not (tmp_path / REJECTED).exists()


async def test_a_process_that_ends_while_postgres_is_away_leaves_its_rows_to_the_next(
    make_logbook: MakeLogbook,
    mortal: Pool,
    own_postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logbook_module, "CLOSE_WITHIN_S", 0.3)
    logbook = make_logbook(mortal)
    own_postgres.kill()
    ids = await written(logbook, rows=20)
    began_s = time.monotonic()
    await logbook.close()
    assert time.monotonic() - began_s < 5
    own_postgres.start()
    make_logbook(mortal)
    stored = Log(own_postgres.url)
    await until(stored.ids)
    assert await stored.ids() == ids


async def test_after_an_outage_rows_are_stored_soon_after_the_database_is_back(
    make_logbook: MakeLogbook, mortal: Pool, own_postgres: EmbeddedPostgres
) -> None:
    logbook = make_logbook(mortal)
    own_postgres.kill()
    ids = await written(logbook, rows=20)
    await asyncio.sleep(1)  # longer than one attempt to reconnect goes on
    assert logbook.depth == 20
    own_postgres.start()
    began_s = time.monotonic()
    await until(lambda: logbook.depth == 0)
    assert time.monotonic() - began_s < 8
    assert await Log(own_postgres.url).ids() == ids
    with contextlib.suppress(psycopg.OperationalError):  # and so is everyone else
        async with mortal.connection(timeout=5) as connection:
            await connection.execute("SELECT 1")
