"""Every answer is written down before it is given: spool first, Postgres within a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from contracts.errors import HubError
from contracts.records import Feedback, Interaction
from store.database import Pool, within
from store.interactions import give_feedback, store_rows
from store.partitions import keep_partitions
from store.spool import Orphan, Segment, Spool, adopt_orphans, read_segment

FLUSH_EVERY_S = 0.25
FLUSH_RETRY_S = 2.0
ADOPT_EVERY_S = 5.0
HOUSEKEEPING_EVERY_S = 3600.0
HOUSEKEEPING_RETRY_S = 30.0
COMMIT_WITHIN_S = 5.0
CLOSE_WITHIN_S = 5.0
REJECTED = "rejected.jsonl"
"""Rows that Postgres refused. Moved into a folder of the spool, they are tried again."""

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError)
"""What a call raises when the database cannot be reached just now (PoolTimeout is one of them)."""

REFUSED = (psycopg.DataError, psycopg.IntegrityError)
"""What Postgres says of a row that it will never take."""

log = logging.getLogger(__name__)


class NotCommitted(HubError):
    """The interaction is kept and will be stored, but Postgres did not confirm it in time."""


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
        count_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._root = root
        self._spool = Spool(root)
        self._retention_days = retention_days
        self._on_commit = on_commit
        self._count_stored = count_stored
        self._count_refused = count_refused
        self._nudge = asyncio.Event()
        self._is_closing = False
        self._committing: list[asyncio.Future[None]] = []
        never = asyncio.Event()
        works = (
            ("storing", self._flush, FLUSH_EVERY_S, FLUSH_RETRY_S, self._nudge),
            ("adopting", self._adopt, ADOPT_EVERY_S, ADOPT_EVERY_S, never),
            ("housekeeping", self._keep_house, HOUSEKEEPING_EVERY_S, HOUSEKEEPING_RETRY_S, never),
        )
        self._tasks = [
            asyncio.create_task(
                self._repeat(name, work, every_s=every_s, retry_s=retry_s, nudge=nudge)
            )
            for name, work, every_s, retry_s, nudge in works
        ]

    @property
    def depth(self) -> int:
        """Rows that are not in Postgres yet."""
        return self._spool.depth

    async def write(self, interaction: Interaction) -> None:
        """Keep an interaction; when this returns, it outlives the process.

        Raises SpoolFull; with `on_commit` also NotCommitted.
        """
        self._spool.append(interaction)
        if self._on_commit:
            committed = asyncio.get_running_loop().create_future()
            self._committing.append(committed)
            self._nudge.set()
            try:
                async with asyncio.timeout(COMMIT_WITHIN_S):
                    await committed
            except TimeoutError:
                raise NotCommitted from None

    async def give(self, feedback: Feedback) -> bool:
        """Keep a thumb. True: on its row in Postgres. False: kept, and applied when the row comes.

        Raises SpoolFull.
        """
        try:
            if await give_feedback(self._pool, feedback):
                return True
        except (*AWAY, psycopg.Error) as error:
            log.warning("feedback waits in the spool: %s", type(error).__name__)
        self._spool.append(feedback)
        return False

    async def close(self) -> None:
        """Store what can be stored and stop; what is left, another process adopts."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN_S)
        try:
            await within(CLOSE_WITHIN_S, self._flush())
        except (*AWAY, psycopg.Error) as error:
            log.warning("%d rows stay in the spool: %s", self.depth, type(error).__name__)
        finally:
            self._spool.close()

    async def _repeat(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        every_s: float,
        retry_s: float,
        nudge: asyncio.Event,
    ) -> None:
        """Do `work` every so often, or when nudged; whatever it raises is told, and it goes on.

        While the database is away the rests grow up to `retry_s`.
        """
        rest_s = every_s
        while True:
            try:
                await work()
                rest_s = every_s
            except AWAY as error:
                rest_s = min(2 * rest_s, retry_s)
                log.warning(
                    "%s: database away (%s); %d rows wait in the spool, next try in %.1f s",
                    name,
                    type(error).__name__,
                    self.depth,
                    rest_s,
                )
            except Exception:
                rest_s = retry_s
                log.exception("%s failed; %d rows wait in the spool", name, self.depth)
            if self._is_closing:  # a pool that hands out a connection may swallow a cancellation
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await nudge.wait()
            nudge.clear()

    async def _flush(self) -> None:
        # First what an outage left, so that a try that fails again makes no further file.
        await self._store(self._spool)
        committing, self._committing = self._committing, []
        self._spool.cut()
        try:
            await self._store(self._spool)
        except BaseException:
            self._committing[:0] = committing
            raise
        for committed in committing:
            if not committed.done():
                committed.set_result(None)

    async def _store(self, source: Spool | Orphan) -> None:
        for file in source.closed():
            segment = read_segment(file)
            if len(segment):
                await self._store_segment(segment)
            source.release(segment)

    async def _store_segment(self, segment: Segment) -> None:
        try:
            await self._insert(segment)
        except REFUSED:
            # One row that Postgres refuses must not hold up the others.
            for row in segment.rows():
                try:
                    await self._insert(row)
                except REFUSED as error:
                    self._set_aside(row, error)

    async def _insert(self, segment: Segment) -> None:
        await store_rows(self._pool, interactions=segment.interactions, feedback=segment.feedback)
        for kind, rows in (("interaction", segment.interactions), ("feedback", segment.feedback)):
            if rows:
                self._count_stored(kind, len(rows))

    def _set_aside(self, row: Segment, error: psycopg.Error) -> None:
        with (self._root / REJECTED).open("ab") as file:
            file.write(row.lines())
        self._count_refused()
        log.error("a row was refused and kept in %s: %s", REJECTED, type(error).__name__)

    async def _adopt(self) -> None:
        for orphan in adopt_orphans(self._root):
            log.info("adopting the spool %s of a process that died", orphan.folder.name)
            try:
                await self._store(orphan)
            except AWAY:
                raise
            except Exception:  # the next one may be sound
                log.exception("the spool %s cannot be stored; it stays", orphan.folder)
            finally:
                orphan.let_go()

    async def _keep_house(self) -> None:
        async with self._pool.connection() as connection:
            dropped = await keep_partitions(
                connection, today=datetime.now(UTC), retention_days=self._retention_days
            )
        if dropped:
            log.info("dropped past retention: %s", ", ".join(dropped))
