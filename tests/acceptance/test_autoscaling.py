"""The embedder grows with the queries that wait, seen through the coalescing ingress."""

import time
from collections.abc import Callable

from benchmarks.load import Load, LoadProcess
from scripts.run import Hub

CLIENTS = 160
"""Below HUB_MAX_WAITING, and far above two full batches."""


def running_embedders(hub: Hub) -> int:
    replicas = hub.cluster.application()["deployments"]["Embedder"]["replicas"]
    return sum(replica["state"] == "RUNNING" for replica in replicas)


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.5)


def test_under_load_one_embedder_becomes_three_and_one_again(hub: Hub) -> None:
    assert running_embedders(hub) == 1
    patient = {"deadline_ms": 10_000}
    load = Load(url=hub.cluster.http_url, clients=CLIENTS, duration_s=90, options=patient)
    with LoadProcess(load) as process:
        wait_for(lambda: running_embedders(hub) == 3, within_s=60, what="three embedders")
        time.sleep(3)  # all three at work
        report = process.stop()
    wait_for(lambda: running_embedders(hub) == 1, within_s=60, what="one embedder again")
    assert report.errors == {}
    assert report.degraded == 0
    assert report.answered > CLIENTS
