"""Concurrent queries share hops, and what befalls one of them is no other's loss."""

import asyncio
import contextvars
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError
from ray.serve.exceptions import RequestCancelledError

from graph import coalescer as coalescer_module
from graph.coalescer import MAX_BATCH, MAX_SLOW_CALLS, Coalescer, Reply

WHOSE = contextvars.ContextVar("whose query", default="nobody's")


@dataclass
class Stage:
    """A stage that answers each item with itself, doubled, when it is let."""

    replica: str = "a"
    batches: list[list[int]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    owners: list[str] = field(default_factory=list)

    async def call(self, items: list[int], held: int) -> Reply[int]:
        self.batches.append(items)
        self.held.append(held)
        self.owners.append(WHOSE.get())
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        return Reply([2 * item for item in items], self.replica)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def coalescer(stage: Stage) -> Coalescer[int, int]:
    return Coalescer("stage", stage.call)


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_query_alone_goes_out_at_once(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    stage.open.set()
    assert await coalescer.submit(21) == 42
    assert stage.batches == [[21]]


async def test_queries_of_one_turn_of_the_loop_share_a_call(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    stage.open.set()
    futures = [coalescer.submit(item) for item in range(5)]
    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
    assert stage.batches == [[0, 1, 2, 3, 4]]


async def test_what_waited_while_calls_were_in_flight_goes_out_together(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    futures = []
    for item in range(10):
        futures.append(coalescer.submit(item))
        await settle()
    # Unheard of replicas count as one.
    assert stage.batches == [[0]]
    stage.open.set()
    assert await asyncio.gather(*futures) == [2 * item for item in range(10)]
    assert stage.batches == [[0], [1, 2, 3, 4, 5, 6, 7, 8, 9]]


async def test_a_call_carries_a_bounded_number_of_queries_and_says_how_many_are_owed(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    stage.open.set()
    many = 3 * MAX_BATCH + 5
    results = list(await asyncio.gather(*[coalescer.submit(item) for item in range(many)]))
    assert results == [2 * item for item in range(many)]
    assert [len(batch) for batch in stage.batches] == [MAX_BATCH] * 3 + [5]
    assert stage.held == [many, many - MAX_BATCH, many - 2 * MAX_BATCH, 5]


async def test_as_many_calls_fly_as_replicas_were_heard_of(
    stage: Stage, coalescer: Coalescer[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.open.set()
    for replica in ("a", "b", "c"):
        stage.replica = replica
        await coalescer.submit(0)
    stage.open.clear()
    futures = []
    for item in range(8):
        futures.append(coalescer.submit(item))
        await settle()
    assert len(stage.batches) == 3 + 3
    stage.open.set()
    await asyncio.gather(*futures)

    monkeypatch.setattr(coalescer_module, "HEARD_FOR_S", 0.0)  # long ago
    stage.open.clear()
    stage.batches.clear()
    futures = []
    for item in range(8):
        futures.append(coalescer.submit(item))
        await settle()
    assert len(stage.batches) == 1
    stage.open.set()
    await asyncio.gather(*futures)


async def test_a_query_that_gave_up_while_waiting_is_not_sent(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    in_flight = coalescer.submit(0)
    await settle()
    waiting = [coalescer.submit(item) for item in (2, 3, 4)]
    await settle()
    waiting[1].cancel()
    stage.open.set()
    assert [*await asyncio.gather(in_flight, waiting[0], waiting[2])] == [0, 4, 8]
    assert stage.batches[1:] == [[2, 4]]


async def test_when_all_that_waited_gave_up_no_call_is_made(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    futures = [coalescer.submit(0)]
    await settle()
    futures.append(coalescer.submit(1))
    await settle()
    gone = [coalescer.submit(item) for item in (2, 3)]
    for future in gone:
        future.cancel()
    stage.open.set()
    await asyncio.gather(*futures)
    await settle()
    assert stage.batches == [[0], [1]]
    assert await coalescer.submit(5) == 10


async def test_a_query_that_gives_up_in_mid_call_takes_no_other_along(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    futures = [coalescer.submit(item) for item in range(3)]
    await settle()
    futures[0].cancel()
    stage.open.set()
    assert await asyncio.gather(*futures[1:]) == [2, 4]
    assert futures[0].cancelled()


async def test_calls_belong_to_no_query(stage: Stage, coalescer: Coalescer[int, int]) -> None:
    """Serve cancels what was called in the context of a request whose client hung up."""
    stage.open.set()
    WHOSE.set("the first's")
    await asyncio.gather(*[coalescer.submit(item) for item in range(MAX_BATCH + 1)])
    assert stage.owners == ["nobody's", "nobody's"]


async def test_an_error_of_the_stage_is_each_querys_own_and_is_not_asked_for_again(
    stage: Stage, coalescer: Coalescer[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    stage.errors = [ValueError("the text of a query")]
    stage.open.set()
    futures = [coalescer.submit(item) for item in range(2)]
    with caplog.at_level(logging.INFO):
        results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert stage.batches == [[0, 1]]
    assert "stage failed for 2 queries: ValueError" in caplog.text
    assert "the text of a query" not in caplog.text
    assert await coalescer.submit(3) == 6


async def test_an_error_of_the_stage_in_rays_wrapping_is_not_asked_for_again(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    wrapped: Any = RayTaskError
    error = wrapped("classify", "traceback", ValueError("bad"), pid=1, ip="0")
    stage.errors = [error.as_instanceof_cause()]
    stage.open.set()
    with pytest.raises(ValueError, match="traceback"):
        await coalescer.submit(1)
    assert stage.batches == [[1]]


@pytest.mark.parametrize(
    "lost",
    [ActorUnavailableError("gone", None), RequestCancelledError("id"), asyncio.CancelledError()],
)
async def test_a_call_lost_with_its_replica_is_made_once_more(
    stage: Stage, coalescer: Coalescer[int, int], lost: BaseException
) -> None:
    stage.errors = [lost]
    stage.open.set()
    assert await asyncio.gather(*[coalescer.submit(1), coalescer.submit(2)]) == [2, 4]
    assert stage.batches == [[1, 2], [1, 2]]


async def test_a_call_lost_twice_is_an_error_and_not_a_silence(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    stage.errors = [asyncio.CancelledError(), asyncio.CancelledError()]
    stage.open.set()
    with pytest.raises(Exception, match="gave the call up"):
        await asyncio.wait_for(coalescer.submit(1), timeout=5)
    assert await coalescer.submit(3) == 6


async def test_a_call_that_hangs_ends(
    stage: Stage, coalescer: Coalescer[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescer_module, "CALL_TIMEOUT_S", 0.02)
    with pytest.raises(TimeoutError):
        await coalescer.submit(1)
    assert stage.batches == [[1]]
    stage.open.set()
    assert await coalescer.submit(2) == 4


async def test_a_call_that_is_stuck_holds_up_no_query_for_long(
    stage: Stage, coalescer: Coalescer[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescer_module, "SLOW_AFTER_S", 0.05)
    stuck = coalescer.submit(1)
    await settle()
    waiting = coalescer.submit(2)
    await settle()
    assert stage.batches == [[1]]
    closed, stage.open = stage.open, asyncio.Event()
    stage.open.set()  # to the calls after the first
    assert await asyncio.wait_for(waiting, timeout=5) == 4
    assert not stuck.done()
    closed.set()
    assert await stuck == 2


async def test_calls_that_are_stuck_are_bounded_in_number(
    stage: Stage, coalescer: Coalescer[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescer_module, "SLOW_AFTER_S", 0.0)
    futures = []
    for item in range(20):
        futures.append(coalescer.submit(item))
        await settle()
    assert len(stage.batches) == 1 + MAX_SLOW_CALLS
    stage.open.set()
    assert list(await asyncio.gather(*futures)) == [2 * item for item in range(20)]


async def test_too_few_results_are_an_error_for_every_query_of_the_call() -> None:
    async def short(items: list[int], held: int) -> Reply[int]:
        return Reply(items[1:], "a")

    coalescer: Coalescer[int, int] = Coalescer("stage", short)
    futures = [coalescer.submit(item) for item in range(3)]
    results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), timeout=5)
    assert [type(result) for result in results] == [ValueError] * 3


async def test_cancelling_the_call_itself_leaves_nobody_waiting(
    stage: Stage, coalescer: Coalescer[int, int]
) -> None:
    future = coalescer.submit(1)
    await settle()
    (task,) = coalescer._calls
    task.cancel()
    await asyncio.wait([future], timeout=5)
    assert future.cancelled()


async def test_the_size_of_each_call_is_counted(stage: Stage) -> None:
    counted: list[tuple[str, int]] = []
    coalescer: Coalescer[int, int] = Coalescer(
        "embedder", stage.call, count=lambda stage, size: counted.append((stage, size))
    )
    stage.open.set()
    await asyncio.gather(*[coalescer.submit(item) for item in range(MAX_BATCH + 3)])
    assert counted == [("embedder", MAX_BATCH), ("embedder", 3)]


async def test_many_queries_each_get_their_own_result(stage: Stage) -> None:
    async def slow(items: list[int], held: int) -> Reply[int]:
        await asyncio.sleep(0.001)
        return Reply([-item for item in items], str(items[0] % 3))

    coalescer: Coalescer[int, int] = Coalescer("stage", slow)

    async def ask(item: int) -> int:
        await asyncio.sleep(item % 7 / 1000)
        return await coalescer.submit(item)

    assert await asyncio.gather(*map(ask, range(500))) == [-item for item in range(500)]


async def test_a_replica_that_waits_for_a_service_gets_several_calls(stage: Stage) -> None:
    patient = Coalescer("stage", stage.call, calls_a_replica=3)
    futures = []
    for item in range(5):
        futures.append(patient.submit(item))
        await settle()
    assert stage.batches == [[0], [1], [2]]
    stage.open.set()
    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
    assert stage.batches[3:] == [[3, 4]]
