"""The whole service over plain stages and a real Postgres, asked over HTTP."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from graph.http import SESSION_HEADER, build_http
from graph.service import Service
from store.database import Pool
from store.identity import issue_session
from store.logbook import Logbook
from tests.plain_stages import PlainStages
from tests.samples import SECRET, locked, until

QUESTION = {"text": "how do i appeal a grade"}

MakeReplica = Callable[[PlainStages], tuple[httpx.AsyncClient, Service]]


@pytest_asyncio.fixture
async def make_replica(log_pool: Pool, tmp_path: Path) -> AsyncIterator[MakeReplica]:
    """Makes replicas of the ingress, as it were, that share a database and one session."""
    headers = {SESSION_HEADER: issue_session(secret=SECRET)[1]}
    async with AsyncExitStack() as stack:

        def make(stages: PlainStages) -> tuple[httpx.AsyncClient, Service]:
            logbook = Logbook(log_pool, root=tmp_path, retention_days=7)
            stack.push_async_callback(logbook.close)
            service = stages.service(log_pool, logbook=logbook)
            app = build_http(lambda: service)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://hub", headers=headers
            )
            stack.push_async_callback(client.aclose)
            return client, service

        yield make


async def rows(pool: Pool, columns: str = "*") -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {columns} FROM interaction_log ORDER BY asked_at"
        )
        return await cursor.fetchall()


async def all_stored(*services: Service) -> None:
    await until(lambda: not any(service._logbook.depth for service in services))


async def test_an_answer_is_stored_and_a_thumb_goes_onto_it(
    make_replica: MakeReplica, log_pool: Pool
) -> None:
    client, service = make_replica(PlainStages())
    answer = (await client.post("/v1/query", json=QUESTION)).json()
    thumb = {"interaction_id": answer["interaction_id"], "score": 1}
    early = await client.post("/v1/feedback", json=thumb)
    assert early.json()["status"] == {200: "stored", 202: "pending"}[early.status_code]
    await all_stored(service)
    late = await client.post("/v1/feedback", json={**thumb, "score": -1, "comment": "no"})
    assert (late.status_code, late.json()["status"]) == (200, "stored")
    found = await rows(log_pool, "interaction_id, query_text, feedback_score, feedback_comment")
    assert found == [(answer["interaction_id"], QUESTION["text"], -1, "no")]


async def test_a_request_id_asked_at_two_replicas_has_one_answer_and_one_row(
    make_replica: MakeReplica, log_pool: Pool
) -> None:
    (one, service_one), (two, service_two) = (
        make_replica(PlainStages(late_s={"retriever": 0.1})) for _ in range(2)
    )
    question = {**QUESTION, "request_id": str(uuid.uuid4())}
    answers = await asyncio.gather(
        *[client.post("/v1/query", json=question) for client in (one, two, one, two)]
    )
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    reused = await two.post("/v1/query", json={**question, "text": "another"})
    assert reused.status_code == 409
    await all_stored(service_one, service_two)
    assert len(await rows(log_pool)) == 1


async def test_a_repeat_tells_nobody_who_reads_the_database_what_was_asked(
    make_replica: MakeReplica, log_pool: Pool
) -> None:
    client, _ = make_replica(PlainStages())
    secret = "my number is 555-123-4567"
    await client.post("/v1/query", json={"text": secret, "request_id": str(uuid.uuid4())})
    async with log_pool.connection() as connection:
        cursor = await connection.execute("SELECT row_to_json(c)::text FROM request_claims c")
        (claim,) = (text for (text,) in await cursor.fetchall())
    assert json.loads(claim)["answer"]["outcome"] == "answered"
    assert "555" not in claim


async def test_a_database_that_hangs_costs_no_answer(
    make_replica: MakeReplica, log_pool: Pool, database_url: str
) -> None:
    client, service = make_replica(PlainStages())
    async with locked(database_url, "interaction_log"), locked(database_url, "request_claims"):
        question = {**QUESTION, "request_id": str(uuid.uuid4()), "deadline_ms": 400}
        async with asyncio.timeout(5):
            first = await client.post("/v1/query", json=question)
            again = await client.post("/v1/query", json=question)
    assert first.json() == again.json()
    assert first.status_code == 200
    await all_stored(service)
    assert len(await rows(log_pool)) == 1
