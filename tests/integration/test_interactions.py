"""Interactions and thumbs in Postgres: each is kept once, and the last thumb wins."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from store.database import Connection, Pool
from store.interactions import give_feedback
from tests.deployed_database import OWNER, as_user
from tests.samples import asked_on, interaction, locked, store, thumb, utc


def stored(connection: Connection, columns: str = "interaction_id") -> list[Any]:
    query = f"SELECT {columns} FROM interaction_log ORDER BY asked_at, interaction_id"
    rows = connection.execute(query).fetchall()
    return [one[0] if len(one) == 1 else one for one in rows]


def score_of(connection: Connection) -> tuple[int | None, str | None]:
    ((score, comment),) = stored(connection, "feedback_score, feedback_comment")
    return score, comment


def pending(connection: Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM pending_feedback").fetchall()
    return int(count)


# ---- interactions -----------------------------------------------------------------------------


async def test_every_field_is_kept_as_it_was(log_pool: Pool, connection: Connection) -> None:
    asked = interaction(
        request_id="r-1",
        query_text="naïve 🎓 متى \t\\ ' \" $1 %s",
        outcome="confused",
        confused_because="ambiguous",
        degraded=("embedder", "retriever"),
        is_crisis=True,
    )
    await store(log_pool, asked)
    columns = (
        "interaction_id, asked_at, session_id, request_id, query_text, outcome, confused_because,"
        " intent, confidence, alternatives, result_ids, degraded, is_crisis, model_version,"
        " embedding_space, timings_ms, feedback_score, feedback_comment, feedback_at"
    )
    (found,) = stored(connection, columns)
    assert found == (
        asked.interaction_id,
        asked.asked_at,
        "5e55",
        "r-1",
        "naïve 🎓 متى \t\\ ' \" $1 %s",
        "confused",
        "ambiguous",
        "exams_and_grades",
        0.91,
        [
            {"intent": "exams_and_grades", "confidence": 0.91},
            {"intent": "academic_advising", "confidence": 0.05},
        ],
        ["exams-1", "exams-2"],
        ["embedder", "retriever"],
        True,
        "v3",
        "space",
        {"classify": 4.1, "total": 11.0},
        None,
        None,
        None,
    )


async def test_what_is_not_known_is_null_or_empty(log_pool: Pool, connection: Connection) -> None:
    bare = interaction(
        intent=None,
        confidence=None,
        alternatives=(),
        result_ids=(),
        model_version=None,
        embedding_space=None,
        timings_ms={},
    )
    await store(log_pool, bare)
    columns = "request_id, intent, confidence, alternatives, result_ids, model_version, timings_ms"
    assert stored(connection, columns) == [(None, None, None, [], [], None, {})]


async def test_storing_again_changes_nothing(log_pool: Pool, connection: Connection) -> None:
    asked = interaction()
    await store(log_pool, asked, asked)
    await store(log_pool, asked)
    assert await give_feedback(log_pool, thumb(asked))
    await store(log_pool, asked, interaction())
    assert len(stored(connection)) == 2
    assert stored(connection, "feedback_score")[0] == 1


async def test_a_large_batch_is_stored_whole(log_pool: Pool, connection: Connection) -> None:
    batch = [interaction() for _ in range(2_000)]
    await store(log_pool, *batch)
    assert sorted(stored(connection)) == sorted(one.interaction_id for one in batch)


async def test_the_same_batch_from_two_hubs_at_once_is_stored_once(
    log_pool: Pool, connection: Connection
) -> None:
    ids: list[str] = []
    for _ in range(3):
        batch = [interaction() for _ in range(1_000)]
        await asyncio.gather(store(log_pool, *batch), store(log_pool, *reversed(batch)))
        ids += [one.interaction_id for one in batch]
    assert sorted(stored(connection)) == sorted(ids)


async def test_a_batch_with_one_bad_row_keeps_nothing(
    log_pool: Pool, connection: Connection
) -> None:
    with pytest.raises(psycopg.DataError):
        await store(log_pool, interaction(), interaction(query_text="a\x00b"))
    assert stored(connection) == []


# ---- thumbs -----------------------------------------------------------------------------------


async def test_a_thumb_goes_onto_its_row(log_pool: Pool, connection: Connection) -> None:
    asked = interaction()
    await store(log_pool, asked)
    assert await give_feedback(log_pool, thumb(asked, score=-1, comment="no"))
    assert score_of(connection) == (-1, "no")


async def test_the_last_thumb_wins_also_when_it_comes_first(
    log_pool: Pool, connection: Connection
) -> None:
    asked = interaction()
    await store(log_pool, asked)
    assert await give_feedback(log_pool, thumb(asked, score=-1, comment="late", after_s=20))
    assert not await give_feedback(log_pool, thumb(asked, score=1, comment="early", after_s=10))
    assert score_of(connection) == (-1, "late")
    assert await give_feedback(log_pool, thumb(asked, score=1, after_s=30))
    assert score_of(connection) == (1, None)


async def test_a_thumb_before_its_row_waits_and_is_applied_when_the_row_comes(
    log_pool: Pool, connection: Connection
) -> None:
    asked = interaction()
    given = thumb(asked, score=-1, comment="no")
    assert not await give_feedback(log_pool, given)
    await store(log_pool, given)
    assert (stored(connection), pending(connection)) == ([], 1)
    await store(log_pool, asked)
    assert score_of(connection) == (-1, "no")
    assert pending(connection) == 0


async def test_a_thumb_may_come_in_one_batch_with_its_row(
    log_pool: Pool, connection: Connection
) -> None:
    asked = interaction()
    await store(log_pool, asked, thumb(asked, score=-1))
    assert score_of(connection) == (-1, None)
    assert pending(connection) == 0


@pytest.mark.parametrize("together", [True, False])
async def test_of_several_waiting_thumbs_the_last_given_wins(
    log_pool: Pool, connection: Connection, together: bool
) -> None:
    asked = interaction()
    thumbs = [
        thumb(asked, score=1, comment="second", after_s=2),
        thumb(asked, score=-1, comment="third", after_s=3),
        thumb(asked, score=1, comment="first", after_s=1),
    ]
    for batch in [thumbs] if together else [[one] for one in thumbs]:
        await store(log_pool, *batch)
    assert pending(connection) == 1
    await store(log_pool, asked)
    assert score_of(connection) == (-1, "third")


async def test_a_waiting_thumb_does_not_undo_a_later_one_on_the_row(
    log_pool: Pool, connection: Connection
) -> None:
    asked = interaction()
    await store(log_pool, asked)
    await give_feedback(log_pool, thumb(asked, score=1, after_s=20))
    await store(log_pool, thumb(asked, score=-1, after_s=10))
    assert score_of(connection) == (1, None)
    assert pending(connection) == 0


async def test_a_row_and_its_thumb_that_missed_each_other_meet_at_the_next_batch(
    log_pool: Pool, connection: Connection
) -> None:
    """Two transactions that do not see each other yet: neither applies the thumb."""
    asked = interaction()
    await store(log_pool, asked)
    connection.execute(
        "INSERT INTO pending_feedback VALUES (%s, %s, -1, NULL, now())",
        (asked.interaction_id, asked.asked_at),
    )
    await store(log_pool, interaction())
    assert stored(connection, "feedback_score")[0] == -1
    assert pending(connection) == 0


async def test_thumbs_of_many_days_are_applied_and_those_without_a_row_wait_on(
    log_pool: Pool, connection: Connection
) -> None:
    days = [asked_on(utc(2026, 1, day)) for day in range(1, 6)]
    lost = asked_on(utc(2026, 1, 3))
    await store(log_pool, *[thumb(one) for one in [*days, lost]])
    await store(log_pool, *days)
    assert stored(connection, "feedback_score") == [1] * 5
    assert pending(connection) == 1


async def test_a_database_that_hangs_is_waited_for_no_longer_than_said(
    log_pool: Pool, database_url: str
) -> None:
    asked = interaction()
    await store(log_pool, asked)
    async with locked(database_url, "interaction_log"):
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            await give_feedback(log_pool, thumb(asked), timeout_s=0.2)
        assert time.monotonic() - began_s < 1
    assert await give_feedback(log_pool, thumb(asked, after_s=2))


async def test_a_pool_whose_connections_are_all_taken_is_not_waited_for_either(
    log_pool: Pool,
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(log_pool.connection())
        with pytest.raises((TimeoutError, psycopg.OperationalError)):
            await give_feedback(log_pool, thumb(interaction()), timeout_s=0.1)


async def test_writing_today_waits_for_no_other_day(
    log_pool: Pool, connection: Connection, database_url: str
) -> None:
    asked = interaction()
    old = asked.asked_at - timedelta(days=30)
    for day in (old, asked.asked_at):
        connection.execute("SELECT make_interaction_day(%s)", (day.date(),))
    async with locked(as_user(database_url, OWNER), f"interaction_log_{old:%Y%m%d}"):
        async with asyncio.timeout(5):
            for _ in range(8):  # long enough for a prepared statement to get its generic plan
                later = interaction()
                await store(log_pool, later, thumb(later))
            await store(log_pool, asked, thumb(asked))
            assert await give_feedback(log_pool, thumb(asked, score=-1, after_s=2))
