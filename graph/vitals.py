"""How the hub is, said every few seconds by each ingress replica, whether anybody asks or not."""

import asyncio
import logging
import time
from typing import Final

import psycopg

from deployments.metrics import GAUGE_LASTS_S, metrics
from deployments.replica import report_pool
from graph.counting import STAGES
from graph.service import Service
from store.artifacts import ArtifactStore
from store.database import Pool
from store.logbook import AWAY, Logbook
from store.loop_state import Backlog, Newest, read_backlog, read_newest

SAY_EVERY_S: Final = 0.4 * GAUGE_LASTS_S
LOOK_EVERY_S: Final = 300.0
"""What changes in hours is read from the tables and the artifact store this often."""

log = logging.getLogger("ray.serve")


class Vitals:
    """One ingress replica's vital signs, and the loop's behind it. Belongs to one event loop."""

    def __init__(
        self, service: Service, *, logbook: Logbook, pool: Pool, store: ArtifactStore
    ) -> None:
        self._service = service
        self._logbook = logbook
        self._pool = pool
        self._store = store
        self._backlog: Backlog | None = None
        self._newest: Newest | None = None
        self._task = asyncio.create_task(self._watch())

    def close(self) -> None:
        """Say nothing any more."""
        self._task.cancel()

    async def _watch(self) -> None:
        looked_s = float("-inf")
        while True:
            try:
                if time.monotonic() - looked_s >= LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    await self.look()
                await self.say()
            except Exception:  # told; what could not be said now may be said the next time
                log.exception("the vital signs could not be told")
            await asyncio.sleep(SAY_EVERY_S)

    async def look(self) -> None:
        """Read how far the loop is. What cannot be read is not told: old numbers would mislead."""
        self._backlog = self._newest = None
        try:
            self._backlog = await read_backlog(self._pool)
        except (*AWAY, psycopg.Error) as error:
            log.warning("the labels cannot be counted just now: %s", type(error).__name__)
        self._newest = await asyncio.to_thread(read_newest, self._store)

    async def say(self) -> None:
        """Set every gauge that is this replica's to set."""
        readiness = await self._service.readiness()
        metrics().ready.set(int(readiness.ready))
        for stage in STAGES:
            metrics().stage_up.set(int(stage not in readiness.degraded), {"stage": stage})
        metrics().waiting.set(self._service.inside)
        metrics().spool_depth.set(self._logbook.depth)
        report_pool(self._pool, "ingress")
        if self._backlog is not None:
            metrics().review_items.set(self._backlog.items_open)
            metrics().labels_verified.set(self._backlog.labels_verified)
        if (newest := self._newest) is not None:
            snapshot_at = newest.snapshot_at
            metrics().snapshot.set(snapshot_at.timestamp() if snapshot_at else 0)
            if newest.version_at is not None:
                metrics().newest_version.set(newest.version_at.timestamp())
            if newest.champion is not None and newest.champion_at is not None:
                metrics().champion.set(newest.champion_at.timestamp(), {"version": newest.champion})
