"""Every answer is written down before it is given: spool first, Postgres within a second."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg_pool import PoolTimeout

from contracts.records import Feedback, Interaction
from store.database import Pool
from store.interactions import give_feedback, keep_partitions, store_rows
from store.spool import Orphan, Segment, Spool, adopt_orphans, read_segment

FLUSH_EVERY_S = 0.25
ADOPT_EVERY_S = 5.0
HOUSEKEEPING_EVERY_S = 3600.0
LONGEST_REST_S = 5.0
REJECTED = "rejected.jsonl"

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError)
"""What psycopg raises when the database cannot be reached just now."""

log = logging.getLogger(__name__)


class Logbook:
    """Writes interactions and thumbs so that none is lost and none is kept twice.

    Belongs to one event loop. `on_commit=True` makes `write` wait for Postgres' group commit.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        root: Path,
        retention_days: int,
        on_commit: bool = False,
        count_stored: Callable[[str, int], None] = lambda kind, rows: None,
    ) -> None:
        self._pool = pool
        self._root = root
        self._spool = Spool(root)
        self._retention_days = retention_days
        self._on_commit = on_commit
        self._count_stored = count_stored
        self._nudge = asyncio.Event()
        self._committed: list[asyncio.Future[None]] = []
        self._tasks = [
            asyncio.create_task(self._flush_for_ever()),
            asyncio.create_task(self._adopt_for_ever()),
            asyncio.create_task(self._keep_house_for_ever()),
        ]

    @property
    def depth(self) -> int:
        """Rows that are not in Postgres yet."""
        return self._spool.depth

    async def write(self, interaction: Interaction) -> None:
        """Keep an interaction; when this returns, it outlives the process. Raises SpoolFull."""
        self._spool.append(interaction)
        if self._on_commit:
            done = asyncio.get_running_loop().create_future()
            self._committed.append(done)
            self._nudge.set()
            await done

    async def give(self, feedback: Feedback) -> bool:
        """Keep a thumb. True: on its row in Postgres. False: kept, and applied when the row arrives."""
        try:
            if await give_feedback(self._pool, feedback):
                return True
        except AWAY as error:
            log.warning("feedback waits in the spool: %s", type(error).__name__)
        self._spool.append(feedback)
        return False

    async def close(self) -> None:
        """Store what can be stored and stop; what is left, another process adopts."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._spool.cut()
        try:
            await self._store(self._spool)
        except AWAY as error:
            log.warning("%d rows stay in the spool: %s", self.depth, type(error).__name__)
        self._spool.close()

    async def _flush_for_ever(self) -> None:
        rest_s = FLUSH_EVERY_S
        while True:
            try:
                async with asyncio.timeout(rest_s):
                    await self._nudge.wait()
            except TimeoutError:
                pass  # the interval is over
            self._nudge.clear()
            waiting, self._committed = self._committed, []
            if not self._spool.closed():
                self._spool.cut()
            try:
                await self._store(self._spool)
                rest_s = FLUSH_EVERY_S
            except AWAY as error:
                rest_s = min(2 * rest_s, LONGEST_REST_S)
                log.warning(
                    "database away (%s): %d rows wait in the spool, next try in %.1f s",
                    type(error).__name__,
                    self.depth,
                    rest_s,
                )
                self._committed = waiting + self._committed
                continue
            if self._spool.depth and waiting:  # appended while older segments were stored
                self._committed = waiting + self._committed
                self._nudge.set()
                continue
            for done in waiting:
                if not done.done():
                    done.set_result(None)

    async def _store(self, source: Spool | Orphan) -> None:
        for file in source.closed():
            segment = read_segment(file)
            if len(segment):
                await self._store_segment(segment)
            source.release(segment)

    async def _store_segment(self, segment: Segment) -> None:
        try:
            await store_rows(
                self._pool, interactions=segment.interactions, feedback=segment.feedback
            )
        except (psycopg.DataError, psycopg.IntegrityError):
            await self._store_one_by_one(segment)
        self._count_stored("interaction", len(segment.interactions))
        self._count_stored("feedback", len(segment.feedback))

    async def _store_one_by_one(self, segment: Segment) -> None:
        """One row that Postgres refuses must not hold up the others: it is set aside and reported."""
        entries = [("interactions", row) for row in segment.interactions]
        entries += [("feedback", row) for row in segment.feedback]
        for kind, row in entries:
            batch = {"interactions": [], "feedback": [], kind: [row]}
            try:
                await store_rows(self._pool, **batch)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                with (self._root / REJECTED).open("ab") as file:
                    file.write(segment.file.read_bytes())
                log.error("a row was refused and kept in %s: %s", REJECTED, type(error).__name__)

    async def _adopt_for_ever(self) -> None:
        while True:
            for orphan in adopt_orphans(self._root):
                log.info("adopting the spool %s of a process that died", orphan.folder.name)
                try:
                    await self._store(orphan)
                except AWAY as error:
                    log.warning("adoption waits: %s", type(error).__name__)
                finally:
                    orphan.let_go()
            await asyncio.sleep(ADOPT_EVERY_S)

    async def _keep_house_for_ever(self) -> None:
        while True:
            rest_s = HOUSEKEEPING_EVERY_S
            try:
                async with self._pool.connection() as connection:
                    dropped = await keep_partitions(
                        connection, today=datetime.now(UTC), retention_days=self._retention_days
                    )
                if dropped:
                    log.info("dropped past retention: %s", ", ".join(dropped))
            except AWAY as error:
                rest_s = LONGEST_REST_S
                log.warning("housekeeping waits: %s", type(error).__name__)
            await asyncio.sleep(rest_s)
