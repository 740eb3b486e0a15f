"""The log's days: made ahead, filled from the default partition, dropped past retention."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import psycopg
import pytest
import pytest_asyncio

from store.database import AsyncConnection, Connection, Pool, connect
from store.interactions import give_feedback
from store.partitions import keep_partitions
from tests.samples import asked_on, interaction, store, thumb, utc

TODAY = utc(2026, 3, 15, 13, 30)


@pytest_asyncio.fixture
async def keeper(log_pool: Pool) -> AsyncIterator[AsyncConnection]:
    async with log_pool.connection() as connection:
        yield connection


async def keep(keeper: AsyncConnection, *, today: datetime = TODAY, days: int = 30) -> list[str]:
    return await keep_partitions(keeper, today=today, retention_days=days)


def day_tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'interaction_log'::regclass AND inhrelid::regclass::text ~ '[0-9]$'"
        " ORDER BY 1"
    )
    return [name for (name,) in rows.fetchall()]


def where(connection: Connection) -> dict[str, str]:
    """The partition that each interaction lies in."""
    rows = connection.execute(
        "SELECT interaction_id, tableoid::regclass::text FROM interaction_log"
    )
    return dict(rows.fetchall())


async def test_yesterday_today_and_a_week_ahead_are_made_once(
    keeper: AsyncConnection, connection: Connection
) -> None:
    assert await keep(keeper) == []
    made = day_tables(connection)
    assert made == [f"interaction_log_202603{day}" for day in range(14, 23)]
    assert await keep(keeper) == []
    assert day_tables(connection) == made
    await keep(keeper, today=TODAY + timedelta(days=1))
    assert day_tables(connection) == [*made, "interaction_log_20260323"]


async def test_the_day_is_utcs_whatever_the_servers_and_the_callers_time_zone(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    await keeper.execute("SET TIME ZONE 'Pacific/Auckland'")
    await keep(keeper, today=datetime.fromisoformat("2026-03-15T23:30:00-10:00"))
    assert day_tables(connection)[1] == "interaction_log_20260316"
    late, early = asked_on(utc(2026, 3, 16, 23, 59, 59)), asked_on(utc(2026, 3, 16))
    await store(log_pool, late, early)
    assert set(where(connection).values()) == {"interaction_log_20260316"}


async def test_a_day_without_a_partition_refuses_no_row_and_gets_its_rows_later(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    rows = [asked_on(TODAY + timedelta(days=day)) for day in (-1, 0, 0, 3)]
    far = asked_on(TODAY + timedelta(days=50))
    await store(log_pool, *rows, far)
    await give_feedback(log_pool, thumb(rows[0], score=-1, comment="no"))
    assert set(where(connection).values()) == {"interaction_log_default"}
    await keep(keeper)
    lies_in = where(connection)
    assert [lies_in[row.interaction_id][-2:] for row in rows] == ["14", "15", "15", "18"]
    assert lies_in[far.interaction_id] == "interaction_log_default"
    found = connection.execute("SELECT feedback_score, feedback_comment FROM interaction_log")
    assert (-1, "no") in found.fetchall()


async def test_a_partition_has_everything_that_the_log_has(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    await keep(keeper)
    asked = asked_on(TODAY)
    await store(log_pool, asked, asked)
    await store(log_pool, asked)
    assert len(where(connection)) == 1
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("UPDATE interaction_log SET feedback_score = 5")
    ((indexes,),) = connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'interaction_log_20260315'"
    ).fetchall()
    assert indexes == 3


async def test_what_is_past_retention_goes_and_nothing_else(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    for day in (0, 10):
        await keep(keeper, today=TODAY + timedelta(days=day))
    kept_day, gone_day = asked_on(utc(2026, 3, 20)), asked_on(utc(2026, 3, 19, 23, 59))
    await store(log_pool, kept_day, gone_day)
    dropped = await keep(keeper, today=utc(2026, 3, 25, 0, 5), days=5)
    assert dropped == [f"interaction_log_202603{day}" for day in range(14, 20)]
    assert list(where(connection)) == [kept_day.interaction_id]
    assert day_tables(connection)[0] == "interaction_log_20260320"


async def test_nothing_past_retention_waits_in_a_corner(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    old, recent = asked_on(TODAY - timedelta(days=31)), asked_on(TODAY - timedelta(days=20))
    await store(log_pool, old, recent, thumb(asked_on(TODAY - timedelta(days=31)), comment="old"))
    await store(log_pool, thumb(asked_on(TODAY - timedelta(days=20)), comment="recent"))
    connection.execute(
        "INSERT INTO request_claims VALUES ('s', 'old', 'd', now() - interval '25 hours'),"
        " ('s', 'recent', 'd', now() - interval '23 hours')"
    )
    await keep(keeper, days=30)
    assert list(where(connection)) == [recent.interaction_id]
    assert connection.execute("SELECT comment FROM pending_feedback").fetchall() == [("recent",)]
    assert connection.execute("SELECT request_id FROM request_claims").fetchall() == [("recent",)]


async def test_two_hubs_keep_house_at_once(log_pool: Pool, connection: Connection) -> None:
    async def hub() -> list[str]:
        async with log_pool.connection() as own:
            return await keep(own)

    assert await asyncio.gather(*[hub() for _ in range(3)]) == [[], [], []]
    assert len(day_tables(connection)) == 9


async def test_a_long_read_of_the_log_is_not_waited_for_and_stops_no_writer(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection, database_url: str
) -> None:
    await keep(keeper, today=TODAY - timedelta(days=1))
    with connect(database_url) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM interaction_log")

        longest_s = 0.0
        keeping = asyncio.create_task(keep(keeper))
        while not keeping.done():
            began_s = time.monotonic()
            today = asked_on(TODAY)
            await store(log_pool, today, thumb(today))
            longest_s = max(longest_s, time.monotonic() - began_s)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            keeping.result()
        assert longest_s < 5
    await keep(keeper)
    assert day_tables(connection)[-1] == "interaction_log_20260322"


async def test_writers_and_housekeeping_do_not_stop_each_other(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    """Rows of a day arrive while its partition is being made, from several hubs."""
    written: list[str] = []
    kept = asyncio.Event()

    async def hub(day: int) -> None:
        while not kept.is_set():
            row = asked_on(TODAY + timedelta(days=day))
            await store(log_pool, row, thumb(row))
            written.append(row.interaction_id)

    hubs = [asyncio.create_task(hub(day)) for day in (0, 1, 2)]
    await asyncio.sleep(0.05)
    await keep(keeper)
    kept.set()
    await asyncio.gather(*hubs)
    lies_in = where(connection)
    assert sorted(lies_in) == sorted(written)
    assert set(lies_in.values()) == {f"interaction_log_202603{day}" for day in (15, 16, 17)}
    scores = connection.execute("SELECT DISTINCT feedback_score FROM interaction_log").fetchall()
    assert scores == [(1,)]


async def test_today_is_there_after_the_first_housekeeping(
    log_pool: Pool, keeper: AsyncConnection, connection: Connection
) -> None:
    asked = interaction()
    await keep_partitions(keeper, today=asked.asked_at, retention_days=1)
    await store(log_pool, asked)
    assert where(connection) == {asked.interaction_id: f"interaction_log_{asked.asked_at:%Y%m%d}"}
