"""The vital signs of an ingress, and what it counts of requests that are refused."""

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from graph import service as service_module
from graph.http import build_http
from graph.vitals import Vitals
from store.artifacts import FolderStore
from store.database import Connection, Pool
from store.dataset_kinds import INTERACTIONS
from store.datasets import Datasets
from store.logbook import Logbook
from store.registry import Registry
from tests.plain_stages import PlainStages
from tests.recorded_metrics import RecordedMetrics
from tests.review_samples import add_item, add_people
from tests.samples import candidate_in, locked, utc


class Door:
    """One ingress, as it were: its vital signs and a client, over stages that may be missing."""

    def __init__(self, pool: Pool, folder: Path, **settings: object) -> None:
        self.stages = PlainStages()
        self.logbook = Logbook(pool, root=folder / "spool", retention_days=7)
        self.service = self.stages.service(pool, logbook=self.logbook, **settings)
        self.store = FolderStore(folder / "artifacts")
        self.vitals = Vitals(self.service, logbook=self.logbook, pool=pool, store=self.store)
        app = build_http(lambda: self.service)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub")

    async def close(self) -> None:
        self.vitals.close()
        await self.client.aclose()
        await self.logbook.close()


@pytest_asyncio.fixture
async def door(log_pool: Pool, tmp_path: Path) -> AsyncIterator[Door]:
    async with contextlib.AsyncExitStack() as stack:
        made = Door(log_pool, tmp_path, quota_per_minute=1)
        stack.push_async_callback(made.close)
        yield made


async def test_a_hub_that_is_well_says_so(door: Door, recorded: RecordedMetrics) -> None:
    await door.vitals.say()
    assert recorded("hub_ready") == 1
    assert {recorded("hub_stage_up", stage=s) for s in ("classifier", "embedder", "retriever")} == {
        1
    }
    assert (recorded("hub_queries_waiting"), recorded("hub_spool_depth")) == (0, 0)
    idle, busy = (
        recorded("hub_database_connections", deployment="ingress", state=state)
        for state in ("idle", "busy")
    )
    assert (idle or 0) + (busy or 0) >= 1


async def test_what_is_away_is_named_whether_anybody_asks_or_not(
    door: Door, recorded: RecordedMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "READY_FOR_S", 0)
    door.stages.missing = {"retriever", "embedder"}
    await door.vitals.say()
    assert recorded("hub_ready") == 1, "the intent can still be told"
    assert recorded("hub_stage_up", stage="retriever") == 0
    door.stages.missing = {"retriever", "classifier"}
    await door.vitals.say()
    assert recorded("hub_ready") == 0


async def test_the_loop_is_as_far_as_tables_and_store_say(
    door: Door, recorded: RecordedMetrics, tmp_path: Path, connection: Connection
) -> None:
    await door.vitals.look()
    await door.vitals.say()
    assert recorded("hub_snapshot_timestamp_seconds") == 0, "never"
    assert recorded("hub_newest_version_timestamp_seconds") is None
    assert recorded("hub_review_items_open") == 0

    registry = Registry(door.store)
    version = registry.publish(candidate_in(tmp_path / "candidate"))
    champion = registry.move_champion(version, expected=None, who="a test", why="a test")
    for day in (date(2026, 3, 1), date(2026, 3, 2)):
        made = Datasets(door.store).publish(
            INTERACTIONS, day, files=[], since=utc(2026, 3, 1), watermark=utc(2026, 3, 3)
        )
    add_people(connection, ana="lead", ben="reviewer")
    for item in ("verified", "unclear", "open"):
        add_item(connection, item)
    connection.execute(
        "INSERT INTO labels (item_id, reviewer, role, intent, source)"
        " SELECT item, reviewer, 'reviewer', intent, 'real' FROM (VALUES ('ana'), ('ben')) AS"
        " people (reviewer), (VALUES ('verified', 'dining'), ('unclear', 'unclear')) AS said"
        " (item, intent)"
    )
    await door.vitals.look()
    await door.vitals.say()
    assert recorded("hub_snapshot_timestamp_seconds") == made.made_at.timestamp()
    assert recorded("hub_champion_timestamp_seconds", version=version) == (
        champion.promotion.when.timestamp()
    )
    newest = recorded("hub_newest_version_timestamp_seconds")
    assert newest is not None
    assert abs(newest - time.time()) < 60
    assert (recorded("hub_review_items_open"), recorded("hub_labels_verified")) == (1, 1)


async def test_a_database_that_hangs_takes_its_own_figures_alone(
    door: Door, recorded: RecordedMetrics, database_url: str
) -> None:
    async with locked(database_url, "labels"):
        await door.vitals.look()
        await door.vitals.say()
    assert recorded("hub_ready") == 1
    assert recorded("hub_review_items_open") is None
    assert recorded("hub_snapshot_timestamp_seconds") == 0


async def test_what_is_refused_is_counted_by_its_reason(
    door: Door, recorded: RecordedMetrics
) -> None:
    question = {"text": "how do i appeal a grade"}
    first = await door.client.post("/v1/query", json=question)
    assert first.status_code == 200
    assert (await door.client.post("/v1/query", json=question)).status_code == 429
    assert (await door.client.post("/v1/query", json={**question, "colour": 1})).status_code == 422
    assert (await door.client.post("/v1/query", content=b"x" * 70_000)).status_code == 413
    thumb = {"interaction_id": first.json()["interaction_id"][:-1] + "_", "score": 1}
    assert (await door.client.post("/v1/feedback", json=thumb)).status_code == 404
    reasons = ("quota", "invalid", "too-large", "unknown-interaction")
    assert [recorded("hub_refused_total", reason=reason) for reason in reasons] == [1, 1, 1, 1]
    statuses = ("200", "429", "422", "413")
    assert [
        recorded("hub_requests_total", path="/v1/query", status=status) for status in statuses
    ] == [1, 1, 1, 1]
    assert recorded("hub_requests_total", path="/v1/feedback", status="404") == 1


@pytest.mark.parametrize("stage", ["classifier", "embedder", "retriever"])
async def test_an_answer_that_lacks_a_stage_is_counted_so(
    door: Door, recorded: RecordedMetrics, stage: str
) -> None:
    door.stages.missing = {stage}
    assert (await door.client.post("/v1/query", json={"text": "hello"})).status_code == 200
    assert recorded("hub_degraded_total", stage=stage) == 1
    assert recorded("hub_outcomes_total", outcome="answered") == (
        None if stage == "classifier" else 1
    )
