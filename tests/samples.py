"""Records for tests: valid ones, to be changed where a test looks."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import sql

from contracts.records import Feedback, IntentProbability, Interaction
from store.database import Pool, open_pool
from store.identity import asked_at, issue_interaction_id
from store.interactions import Row, store_rows
from store.registry import Manifest

SECRET = b"a secret of the tests, and of nothing else"


def interaction(**changes: Any) -> Interaction:
    """A new interaction, asked now; `asked_at` follows its id unless it is given."""
    interaction_id = changes.pop("interaction_id", None) or issue_interaction_id(
        session_id=changes.get("session_id", "5e55"), secret=SECRET
    )
    made = Interaction(
        interaction_id=interaction_id,
        asked_at=asked_at(interaction_id),
        session_id="5e55",
        request_id=None,
        query_text="how do i appeal a grade",
        outcome="answered",
        confused_because=None,
        intent="exams_and_grades",
        confidence=0.91,
        alternatives=(
            IntentProbability("exams_and_grades", 0.91),
            IntentProbability("academic_advising", 0.05),
        ),
        result_ids=("exams-1", "exams-2"),
        degraded=(),
        is_crisis=False,
        model_version="v3",
        embedding_space="space",
        timings_ms={"classify": 4.1, "total": 11.0},
    )
    return replace(made, **changes)


def candidate_in(folder: Path) -> Path:
    """A folder that can be published as a version; its files are no real model's."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "tokenizer.json").write_bytes(b"{}")
    manifest = Manifest(
        kind="distilbert-synthetic",
        labels=("library", "out_of_scope"),
        temperature=1.25,
        backbone="all-MiniLM-L6-v2",
        dataset={"digest": "d"},
        split={"digest": "s"},
        seed=17,
        recipe="r",
        created_at=datetime.now(UTC),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def asked_on(moment: datetime, **changes: Any) -> Interaction:
    """An interaction that was asked at another time."""
    milliseconds = round(moment.timestamp() * 1000)
    number = issue_interaction_id(session_id="5e55", secret=SECRET)
    return interaction(interaction_id=f"{milliseconds:012x}{number[12:]}", **changes)


def thumb(of: Interaction, *, score: int = 1, after_s: float = 1.0, **changes: Any) -> Feedback:
    """A thumb for an interaction, given so many seconds after it was asked."""
    given_at = of.asked_at + timedelta(seconds=after_s)
    made = Feedback(of.interaction_id, of.asked_at, score, None, given_at, of.session_id)
    return replace(made, **changes)


def utc(*date: int) -> datetime:
    """A moment in UTC."""
    return datetime(*date, tzinfo=UTC)  # type: ignore[arg-type,misc]


def closed_pool() -> Pool:
    """A pool that is not open: whoever asks it learns at once that the database is away."""
    return open_pool("postgresql:///nobody", size=1)


def row_of(record: Interaction | Feedback) -> Row:
    """A record as the spool holds it."""
    row: Row = orjson.loads(orjson.dumps(record))
    return row


async def store(pool: Pool, *records: Interaction | Feedback) -> None:
    """Store records in one batch, as the logbook does."""
    await store_rows(
        pool,
        interactions=[row_of(one) for one in records if isinstance(one, Interaction)],
        feedback=[row_of(one) for one in records if isinstance(one, Feedback)],
    )


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncIterator[None]:
    """Hold a table against everyone else: to them, the database hangs."""
    connection = await psycopg.AsyncConnection.connect(database_url)
    async with connection:
        await connection.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table))
        )
        yield


async def until(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Wait until it holds (what it returns may be awaited); fail when that takes too long."""
    until_s = time.monotonic() + within_s
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() < until_s, "it did not come to pass"
        await asyncio.sleep(0.02)
