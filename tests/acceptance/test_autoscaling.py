"""The embedder grows with the queries that wait, seen through the coalescing ingress."""

import asyncio
import time

from benchmarks.load import Load, apply_load
from scripts.run import Hub

CLIENTS = 96
LOAD_S = 25.0


def running_embedders(hub: Hub) -> int:
    replicas = hub.cluster.application()["deployments"]["Embedder"]["replicas"]
    return sum(replica["state"] == "RUNNING" for replica in replicas)


async def test_under_load_one_embedder_becomes_three_and_one_again(hub: Hub) -> None:
    assert running_embedders(hub) == 1
    load = asyncio.create_task(
        asyncio.to_thread(
            apply_load, Load(url=hub.cluster.http_url, clients=CLIENTS, duration_s=LOAD_S)
        )
    )
    most = 1
    while not load.done():
        most = max(most, await asyncio.to_thread(running_embedders, hub))
        await asyncio.sleep(0.5)
    report = await load
    deadline = time.monotonic() + 60
    while (left := await asyncio.to_thread(running_embedders, hub)) > 1:
        assert time.monotonic() < deadline, f"still {left} embedders"
        await asyncio.sleep(0.5)
    assert most == 3
    assert report.errors == {}
