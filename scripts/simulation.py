"""Simulated sessions against a running hub, over HTTP as a browser would, and what came of them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from contracts.errors import HubError
from scripts.students import Crowd, Student, Thumb

SESSION_HEADER = "X-Hub-Session"
USER_AGENT = "student-resource-hub simulate_traffic"
AT_ONCE = 64
"""Sessions that are in the house at the same time."""

TIMEOUT_S = 15.0
CONNECT_S = 5.0
TRIES = 5
AGAIN = (429, 503)
"""Refusals after which one asks again, when the hub says so."""

SESSION_ID_CHARS = 32


class NotServed(HubError):
    """The simulation stopped; what was asked before is stored, as simulated."""


@dataclass(slots=True)
class Tally:
    """What happened, counted."""

    outcomes: Counter[str] = field(default_factory=Counter)
    thumbs: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    right: int = 0
    hung_up: int = 0
    too_fast: int = 0
    slipped: int = 0


def _not_served(error: httpx.TransportError) -> NotServed:
    return NotServed(f"The hub does not answer ({type(error).__name__}). Is `make run` up?")


class Simulation:
    """Drives sessions against one hub, so many questions a second."""

    def __init__(self, http: httpx.AsyncClient, *, rate: float, seed: int) -> None:
        self.tally = Tally()
        self._http = http
        self._rate = rate
        self._draw = random.Random(seed)
        self._next_s = 0.0

    async def visit(self, student: Student, *, token: str) -> None:
        """Be one session from its first question to its last. Raises NotServed."""
        while (question := student.ask()) is not None:
            await self._wait_for_turn()
            body: dict[str, Any] = {"text": question.text}
            if question.hangs_up:
                await self._hang_up(body, token=token)
            elif answer := await self._post("/v1/query", body, token=token):
                self.tally.outcomes[answer["outcome"]] += 1
                self.tally.right += answer["intent"] == question.intent
                await self._press(student.hear(answer), answer=answer, token=token)
            await asyncio.sleep(student.pause_s())

    async def _press(self, thumb: Thumb | None, *, answer: dict[str, Any], token: str) -> None:
        if thumb is None:
            return
        body = {"interaction_id": answer["interaction_id"], "score": thumb.score}
        if thumb.comment:
            body["comment"] = thumb.comment
        if await self._post("/v1/feedback", body, token=token):
            self.tally.thumbs["up" if thumb.score == 1 else "down"] += 1
            self.tally.slipped += not thumb.is_meant

    async def _hang_up(self, body: dict[str, Any], *, token: str) -> None:
        patience = httpx.Timeout(CONNECT_S, read=self._draw.uniform(0.001, 0.02))
        headers = {SESSION_HEADER: token}
        try:
            await self._http.post("/v1/query", json=body, headers=headers, timeout=patience)
        except httpx.ReadTimeout:
            self.tally.hung_up += 1  # as meant: the connection is closed under the hub's hands
        except httpx.TransportError as error:
            raise _not_served(error) from error
        else:
            self.tally.too_fast += 1

    async def _post(self, path: str, body: dict[str, Any], *, token: str) -> dict[str, Any] | None:
        """Return the answer, or None when it was refused; waits and asks again when told to."""
        for _ in range(TRIES):
            try:
                response = await self._http.post(path, json=body, headers={SESSION_HEADER: token})
            except httpx.TransportError as error:
                raise _not_served(error) from error
            if SESSION_HEADER in response.headers:
                raise NotServed(
                    "The hub does not know our sessions: its HUB_SECRET is another one than here,"
                    f" so session {response.headers[SESSION_HEADER][:SESSION_ID_CHARS]} was made,"
                    " which is not marked as simulated. Set HUB_SECRET (or HUB_HOME) as the hub's."
                )
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
            self.tally.refusals[str(response.status_code)] += 1
            if response.status_code not in AGAIN:
                return None
            await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
        return None

    async def _wait_for_turn(self) -> None:
        now_s = time.monotonic()
        self._next_s = max(now_s, self._next_s + self._draw.expovariate(self._rate))
        await asyncio.sleep(self._next_s - now_s)


async def simulate(
    url: str,
    *,
    tokens: Sequence[str],
    crowd: Crowd,
    rate: float,
    seed: int = 0,
    advance: Callable[[Tally], None] = lambda tally: None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Tally:
    """Let a student come with each of `tokens`, about `rate` questions a second in all.

    The tokens' sessions are marked as simulated already. `advance` is called when one leaves.
    Raises NotServed when the hub does not answer, or does not know the sessions.
    """
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(
        base_url=url,
        headers={"User-Agent": USER_AGENT},
        timeout=TIMEOUT_S,
        limits=limits,
        transport=transport,
    ) as http:
        simulation = Simulation(http, rate=rate, seed=seed)
        room = asyncio.Semaphore(AT_ONCE)

        async def come(number: int, token: str) -> None:
            async with room:
                student = Student(crowd, seed=seed * 1_000_003 + number)
                await simulation.visit(student, token=token)
                advance(simulation.tally)

        failed: NotServed | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for number, token in enumerate(tokens):
                    group.create_task(come(number, token))
        except* NotServed as errors:
            failed = next(error for error in errors.exceptions if isinstance(error, NotServed))
    if failed is not None:
        raise failed
    return simulation.tally
