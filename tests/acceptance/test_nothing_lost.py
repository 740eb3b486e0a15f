"""Every interaction_id that a client received is stored exactly once, whatever dies meanwhile."""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import psycopg
import pytest

from scripts.run import Hub

CLIENTS = 6
HANG_UP = httpx.Timeout(15, read=0.004)


class Traffic:
    """Clients in a closed loop; it keeps every interaction_id that arrived and every status."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count()
        self.received: list[str] = []
        self.statuses: Counter[str] = Counter()
        self.hung_up = 0

    async def ask_for_ever(self, client: int) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=15) as http:
            while True:
                number = next(self._numbers)
                body = {"text": f"how do i renew library book number {number} of client {client}"}
                try:
                    if number % 10 == 0:  # hang up in the middle of the answer
                        with contextlib.suppress(httpx.ReadTimeout):
                            await http.post("/v1/query", json=body, timeout=HANG_UP)
                        self.hung_up += 1
                        continue
                    response = await http.post("/v1/query", json=body)
                except httpx.TransportError as error:
                    self.statuses[type(error).__name__] += 1
                    await asyncio.sleep(0.05)
                    continue
                self.statuses[str(response.status_code)] += 1
                if response.status_code == 200:
                    self.received.append(response.json()["interaction_id"])
                else:
                    await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def traffic(hub: Hub) -> AsyncIterator[Traffic]:
    load = Traffic(hub.cluster.http_url)
    tasks = [asyncio.create_task(load.ask_for_ever(client)) for client in range(CLIENTS)]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert isinstance(result, asyncio.CancelledError), result


def replica_pids(hub: Hub, deployment: str) -> list[int]:
    replicas = hub.cluster.application()["deployments"][deployment]["replicas"]
    return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]


async def until(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(0.1)


def stored(hub: Hub, ids: list[str]) -> Counter[str]:
    with psycopg.connect(hub.settings.database_url) as connection:
        cursor = connection.execute(
            "SELECT interaction_id FROM interaction_log WHERE interaction_id = ANY(%s)", (ids,)
        )
        return Counter(row[0] for row in cursor.fetchall())


async def assert_exactly_once(hub: Hub, ids: list[str]) -> None:
    assert len(set(ids)) == len(ids)
    await until(
        lambda: len(stored(hub, ids)) == len(ids), within_s=30, what=f"{len(ids)} rows stored"
    )
    assert set(stored(hub, ids).values()) == {1}


async def test_a_database_that_is_killed_costs_results_but_no_row(hub: Hub) -> None:
    async with traffic(hub) as load:
        await asyncio.sleep(1.5)
        await asyncio.to_thread(hub.postgres.kill)
        await asyncio.sleep(3)
        async with httpx.AsyncClient(base_url=hub.cluster.http_url) as http:
            during = await http.post("/v1/query", json={"text": "where do i park"})
        await asyncio.to_thread(hub.postgres.start)
        await asyncio.sleep(3)
    assert during.status_code == 200
    assert during.json()["degraded"] == ["retriever"]
    assert during.json()["intent"]
    assert during.json()["results"] == []
    assert set(load.statuses) == {"200"}, load.statuses
    assert load.hung_up > 5
    await assert_exactly_once(hub, [*load.received, during.json()["interaction_id"]])


@pytest.mark.parametrize("deployment", ["Classifier", "Embedder", "Retriever"])
async def test_a_stage_that_is_killed_costs_no_answer(hub: Hub, deployment: str) -> None:
    async with traffic(hub) as load:
        await asyncio.sleep(0.5)
        (victim, *_) = replica_pids(hub, deployment)
        os.kill(victim, signal.SIGKILL)
        await until(
            lambda: bool(set(replica_pids(hub, deployment)) - {victim}),
            within_s=60,
            what=f"another {deployment}",
        )
        await asyncio.sleep(0.5)
    assert set(load.statuses) == {"200"}, load.statuses
    await assert_exactly_once(hub, load.received)


async def test_an_ingress_that_is_killed_loses_nothing_that_it_said(hub: Hub) -> None:
    async with traffic(hub) as load:
        await asyncio.sleep(1)
        (victim,) = replica_pids(hub, "Ingress")
        os.kill(victim, signal.SIGKILL)
        await until(
            lambda: bool(set(replica_pids(hub, "Ingress")) - {victim}),
            within_s=60,
            what="another ingress",
        )
        before = len(load.received)
        await until(lambda: len(load.received) > before + 20, within_s=20, what="answers again")
    # What a client sees at that moment: a cut connection, or HAProxy's plain 502, 503 or 504.
    assert set(load.statuses) <= {"200", "502", "503", "504", "ReadError", "RemoteProtocolError"}
    await assert_exactly_once(hub, load.received)
