"""A request_id that comes twice, also to two replicas: one answer, one row."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from contracts.messages import QueryAnswer, QueryRequest
from graph.problems import ProblemError
from graph.replay import RequestMemory
from store.database import Connection, Pool
from store.interactions import answer_request, claim_request, give_up_request
from tests.plain_stages import PlainStages
from tests.samples import locked

PATIENCE_S = 5.0


async def claim(
    pool: Pool, *, session: str = "s", request: str = "r", text: str = "d"
) -> tuple[bool, str, object]:
    return await claim_request(
        pool, session_id=session, request_id=request, text_digest=text, timeout_s=PATIENCE_S
    )


async def answered(pool: Pool, answer: dict[str, object]) -> None:
    await answer_request(pool, session_id="s", request_id="r", answer=answer, timeout_s=PATIENCE_S)


# ---- the claims -------------------------------------------------------------------------------


async def test_the_first_has_the_claim_and_the_second_learns_of_it(log_pool: Pool) -> None:
    assert await claim(log_pool) == (True, "d", None)
    assert await claim(log_pool) == (False, "d", None)
    await answered(log_pool, {"a": ["é", 1, None]})
    assert await claim(log_pool) == (False, "d", {"a": ["é", 1, None]})


async def test_another_text_learns_of_the_first_text(log_pool: Pool) -> None:
    await claim(log_pool, text="first")
    assert await claim(log_pool, text="second") == (False, "first", None)


async def test_sessions_and_request_ids_are_claimed_apart(log_pool: Pool) -> None:
    for session, request in (("s", "r"), ("s", "r2"), ("s2", "r")):
        assert (await claim(log_pool, session=session, request=request))[0]


async def test_of_many_at_once_exactly_one_has_the_claim(log_pool: Pool) -> None:
    claims = await asyncio.gather(*[claim(log_pool) for _ in range(20)])
    assert [mine for mine, _, _ in claims].count(True) == 1


async def age(connection: Connection, interval: str) -> None:
    connection.execute(
        "UPDATE request_claims SET claimed_at = claimed_at - %s::interval", (interval,)
    )


async def test_an_answer_is_kept_for_24_hours(log_pool: Pool, connection: Connection) -> None:
    await claim(log_pool, text="first")
    await answered(log_pool, {"a": 1})
    await age(connection, "23 hours 59 minutes")
    assert await claim(log_pool, text="second") == (False, "first", {"a": 1})
    await age(connection, "2 minutes")
    assert await claim(log_pool, text="second") == (True, "second", None)
    assert await claim(log_pool, text="second") == (False, "second", None)


async def test_a_claim_whose_maker_died_is_free_after_a_moment(
    log_pool: Pool, connection: Connection
) -> None:
    await claim(log_pool)
    await age(connection, "10 seconds")
    assert not (await claim(log_pool))[0]
    await age(connection, "10 seconds")
    assert (await claim(log_pool))[0]


async def test_a_claim_that_is_given_up_is_free_at_once_but_an_answer_stays(
    log_pool: Pool,
) -> None:
    await claim(log_pool)
    await give_up_request(log_pool, session_id="s", request_id="r", timeout_s=PATIENCE_S)
    assert (await claim(log_pool))[0]
    await answered(log_pool, {"a": 1})
    await give_up_request(log_pool, session_id="s", request_id="r", timeout_s=PATIENCE_S)
    assert await claim(log_pool) == (False, "d", {"a": 1})


# ---- two replicas over one database -----------------------------------------------------------


class Replica:
    """One replica's memory, and the answers that it made."""

    def __init__(self, pool: Pool) -> None:
        self.memory = RequestMemory(pool)
        self.made = 0
        self.started = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.errors: list[Exception] = []

    async def _answer(self) -> QueryAnswer:
        self.started.set()
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.made += 1
        answer, _ = await PlainStages().answerer().answer(QueryRequest(text="x"), session_id="s")
        return answer

    def ask(self, *, text: str = "d", deadline_s: float = 5.0) -> Awaitable[QueryAnswer]:
        return self.memory.once(
            session_id="s",
            request_id="r",
            text_digest=text,
            deadline_s=deadline_s,
            answer=self._answer,
        )


@pytest.fixture
def replicas(log_pool: Pool) -> tuple[Replica, Replica]:
    return Replica(log_pool), Replica(log_pool)


async def problem_of(asked: Awaitable[QueryAnswer]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await asked
    return caught.value


async def test_the_other_replica_gives_the_same_answer(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    first = await one.ask()
    assert await two.ask() == first
    assert await one.ask() == first
    assert (one.made, two.made) == (1, 0)


async def test_the_other_replica_refuses_another_text(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    await one.ask(text="first")
    for replica in replicas:
        assert (await problem_of(replica.ask(text="second"))).status == 409
    assert (await two.ask(text="first")) == await one.ask(text="first")


async def test_two_at_once_at_two_replicas_share_one_answer(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.open.clear()
    first = asyncio.ensure_future(one.ask())
    await one.started.wait()
    second = asyncio.ensure_future(two.ask())
    await asyncio.sleep(0.1)
    assert not second.done()
    one.open.set()
    assert await second == await first
    assert (one.made, two.made) == (1, 0)


async def test_who_waits_for_another_replica_waits_no_longer_than_its_deadline(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.open.clear()
    first = asyncio.ensure_future(one.ask())
    await one.started.wait()
    problem = await problem_of(two.ask(deadline_s=0.2))
    assert (problem.status, problem.kind, problem.retry_after_s) == (503, "in-progress", 1)
    one.open.set()
    assert await two.ask() == await first


async def test_an_answer_that_failed_leaves_the_request_id_to_the_next_try_anywhere(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.errors = [ProblemError(503, "nothing to say", kind="nothing-to-say")]
    began_s = time.monotonic()
    assert (await problem_of(one.ask())).kind == "nothing-to-say"
    answer = await two.ask()
    assert time.monotonic() - began_s < 3
    assert await one.ask() == answer
    assert (one.made, two.made) == (0, 1)


async def test_when_the_first_is_cancelled_who_waits_is_told_and_the_next_is_answered(
    replicas: tuple[Replica, Replica],
) -> None:
    one, two = replicas
    one.open.clear()
    first = asyncio.ensure_future(one.ask())
    await one.started.wait()
    waiting = asyncio.ensure_future(one.ask())
    await asyncio.sleep(0)
    first.cancel()
    assert (await problem_of(waiting)).kind == "in-progress"
    assert first.cancelled()
    assert (await two.ask()).outcome == "answered"


async def test_who_hangs_up_while_waiting_disturbs_nobody(
    replicas: tuple[Replica, Replica],
) -> None:
    one, _ = replicas
    one.open.clear()
    first = asyncio.ensure_future(one.ask())
    await one.started.wait()
    gone, stays = asyncio.ensure_future(one.ask()), asyncio.ensure_future(one.ask())
    await asyncio.sleep(0)
    gone.cancel()
    one.open.set()
    assert await stays == await first


async def test_a_database_that_hangs_delays_the_answer_by_a_share_of_its_deadline(
    replicas: tuple[Replica, Replica], database_url: str
) -> None:
    one, _ = replicas
    async with locked(database_url, "request_claims"):
        began_s = time.monotonic()
        first = await one.ask(deadline_s=0.4)
        assert time.monotonic() - began_s < 1.5
        assert await one.ask() == first  # from this replica's memory
    assert one.made == 1


async def test_the_memory_is_bounded(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.replay.MAX_KEPT", 3)
    one, _ = replicas
    ask: Callable[..., Awaitable[QueryAnswer]] = one.memory.once
    answers = [
        await ask(
            session_id="s", request_id=str(n), text_digest="d", deadline_s=5, answer=one._answer
        )
        for n in range(5)
    ]
    assert len(one.memory._kept) == 3
    again = await ask(
        session_id="s", request_id="0", text_digest="d", deadline_s=5, answer=one._answer
    )
    assert again == answers[0]  # from Postgres
    assert one.made == 5
