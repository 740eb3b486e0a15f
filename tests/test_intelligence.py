"""The golden queries and the 200 ms budget, through a running hub; works by itself."""

import json
from pathlib import Path

import httpx
import pytest

from benchmarks.load import Load, apply_load
from scripts.run import Hub
from tests.live_hub import client_of

GOLDEN = json.loads(Path(__file__).with_name("golden_queries.json").read_text())["queries"]
BUDGET_MS = 200.0


@pytest.fixture(scope="module")
def client(hub: Hub) -> httpx.Client:
    with client_of(hub) as client:
        yield client


@pytest.mark.parametrize("query", GOLDEN, ids=lambda query: query["text"][:50])
def test_a_golden_query_has_its_mandatory_intent(client: httpx.Client, query: dict) -> None:
    answer = client.post("/v1/query", json={"text": query["text"]}).json()
    assert answer["intent"] == query["intent"], answer["alternatives"]


@pytest.mark.parametrize("clients", [1, 4])
def test_nineteen_of_twenty_answers_come_within_the_budget(hub: Hub, clients: int) -> None:
    report = apply_load(Load(url=hub.cluster.http_url, clients=clients, duration_s=8))
    assert report.errors == {}
    assert report.p95_ms < BUDGET_MS
