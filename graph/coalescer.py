"""Concurrent queries share hops: what is waiting goes out as one call.

A hop costs about 2 ms whatever it carries (DESIGN, decision 5), so a stage has few calls in
flight and each takes everything that waited meanwhile. One query alone goes out at once.
"""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

MAX_BATCH = 16
"""Larger ones compute no cheaper, and leave the other stages idle meanwhile: 32 gave 4 % less."""
CALL_TIMEOUT_S = 10.0
HEARD_FOR_S = 5.0
SLOW_AFTER_S = 0.5
"""A call that takes longer may be stuck: it no longer holds up the queries after it."""
MAX_SLOW_CALLS = 4

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("ray.serve")


def was_lost(error: Exception) -> bool:
    """Say whether a call was lost on its way; a stage's own error is a RayTaskError, or bare."""
    return isinstance(error, (RayError, RayServeException, grpc.RpcError)) and not isinstance(
        error, RayTaskError
    )


@dataclass(frozen=True, slots=True)
class Reply(Generic[Result]):
    """What a replica answers to one call: a result a query, and the replica's name."""

    results: list[Result]
    replica: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A call under way: since when (`monotonic`), and how many items it carries."""

    since_s: float
    items: int


class Coalescer(Generic[Item, Result]):
    """Collects the items of one stage and calls for many at once. Belongs to one event loop.

    As many calls are in flight as replicas were lately heard of: a replica computes one call after
    the other anyway, and what waits here meanwhile makes its next batch larger, so cheaper. Serve
    spreads the calls, so a new replica is soon heard of. A replica that itself waits for a service
    takes several `calls_a_replica`.
    """

    def __init__(
        self,
        stage: str,
        call: Callable[[list[Item], int], Awaitable[Reply[Result]]],
        *,
        count: Callable[[str, int], None] = lambda stage, size: None,
        calls_a_replica: int = 1,
    ) -> None:
        """`call(items, held)` sends one batch; `held` counts all items not answered yet."""
        self._stage = stage
        self._call = call
        self._count = count
        self._calls_a_replica = calls_a_replica
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._calls: dict[asyncio.Task[None], _Call] = {}
        self._heard: dict[str, float] = {}
        self._is_scheduled = False

    @property
    def held(self) -> int:
        """How many items wait or are under way: what this stage still owes."""
        return len(self._waiting) + sum(call.items for call in self._calls.values())

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Queue one item and return the future of its result. Cancelling it drops the item."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        # At the end of this turn of the loop: whatever else arrives in it shares the call.
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._send)

    def _is_busy(self) -> bool:
        now = time.monotonic()
        self._heard = {r: at for r, at in self._heard.items() if now - at < HEARD_FOR_S}
        limit = max(1, len(self._heard)) * self._calls_a_replica
        slow = sum(now - call.since_s >= SLOW_AFTER_S for call in self._calls.values())
        return len(self._calls) - min(slow, MAX_SLOW_CALLS) >= limit

    def _send(self) -> None:
        self._is_scheduled = False
        while self._waiting and not self._is_busy():
            batch: list[tuple[Item, asyncio.Future[Result]]] = []
            while self._waiting and len(batch) < MAX_BATCH:
                entry = self._waiting.popleft()
                if not entry[1].done():  # its query gave up meanwhile
                    batch.append(entry)
            if batch:
                self._count(self._stage, len(batch))
                # In a context of its own: Serve cancels what was called in the context of a query
                # whose client hung up, and this call is the others' too.
                task = asyncio.create_task(self._carry(batch), context=contextvars.Context())
                self._calls[task] = _Call(time.monotonic(), len(batch))
                task.add_done_callback(self._finished)
                asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._send)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        if self._waiting:
            self._send()

    async def _carry(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        try:
            try:
                reply = await self._ask(items)
            except Exception as error:
                if not was_lost(error):
                    raise
                # The replica died or left with our call: the queries change nothing, so ask again.
                log.info("%s call lost (%r), asking again", self._stage, error)
                reply = await self._ask(items)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # the stage is missing: each query says so in `degraded`
            log.warning(
                "%s failed for %d queries: %s", self._stage, len(items), type(error).__name__
            )
            log.debug("%s failed", self._stage, exc_info=error)
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # seen, also when its query gave up
            return
        self._heard[reply.replica] = time.monotonic()
        for (_, future), result in zip(batch, reply.results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _ask(self, items: list[Item]) -> Reply[Result]:
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                reply = await self._call(items, self.held)
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            # Not us: a replica that shuts down answers with its own cancellation.
            raise RayServeException("the replica gave the call up") from error
        if len(reply.results) != len(items):
            raise ValueError(f"{len(reply.results)} results for {len(items)} queries")
        return reply
