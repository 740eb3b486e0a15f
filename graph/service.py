"""What the hub does for a caller, apart from HTTP: ask, take feedback, say how it is."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import ArtifactError
from contracts.messages import (
    FeedbackAnswer,
    FeedbackRequest,
    Models,
    QueryAnswer,
    QueryRequest,
    Readiness,
    ReplicaModel,
    ReplicaSpace,
)
from contracts.records import Feedback
from contracts.settings import Settings
from graph.admission import Quota, Room
from graph.answering import Answerer
from graph.counting import FEEDBACK, QUERY, count_answer, count_refusal, count_status
from graph.problems import ProblemError, nothing_unwritten
from graph.replay import RequestMemory
from store.identity import asked_at, is_interaction_of, issue_session, session_of, text_digest
from store.logbook import Logbook
from store.redaction import redact

READY_FOR_S = 1.0
PROBE_TIMEOUT_S = 2.0

log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a session, and the token to be sent back when the session is new."""

    session_id: str
    address: str
    new_token: str | None = None


@dataclass(frozen=True, slots=True)
class Probes:
    """How the parts are asked how they are; each raises when its part is away."""

    stages: dict[str, Callable[[], Awaitable[object]]]
    replicas: Callable[[], Awaitable[list[ReplicaModel]]]
    spaces: Callable[[], Awaitable[list[ReplicaSpace]]]
    champion: Callable[[], Awaitable[str | None]]


class Service:
    """One ingress replica's service. Belongs to one event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        answerer: Answerer,
        logbook: Logbook,
        memory: RequestMemory,
        probes: Probes,
    ) -> None:
        self._secret = settings.require_secret()
        self._answerer = answerer
        self._logbook = logbook
        self._memory = memory
        self._probes = probes
        self._quota = Quota(per_minute=settings.quota_per_minute)
        self._feedback_quota = Quota(
            per_minute=settings.feedback_per_minute, what="give {} thumbs a minute"
        )
        self._address_quota = Quota(per_minute=settings.quota_per_address)
        self._room = Room(limit=settings.max_waiting)
        self._readiness: tuple[float, asyncio.Task[Readiness]] | None = None
        self._tasks: set[asyncio.Task[QueryAnswer]] = set()

    @property
    def inside(self) -> int:
        """Queries that are being answered."""
        return self._room.inside

    def caller(self, token: str, *, address: str) -> Caller:
        """Recognise a session's token, or open a new session."""
        session_id = session_of(token, secret=self._secret) if token else None
        if session_id is not None:
            return Caller(session_id, address)
        session_id, new_token = issue_session(secret=self._secret)
        return Caller(session_id, address, new_token)

    async def ask(self, request: QueryRequest, *, caller: Caller) -> QueryAnswer:
        """Answer a query; it is written down before this returns.

        A caller that hangs up cancels the waiting, not the work: the query is logged all the same.
        Raises ProblemError 409, 429 and 503.
        """
        try:
            self._address_quota.take(caller.address)
            self._quota.take(caller.session_id)
            self._room.enter()
        except ProblemError as error:
            count_refusal(QUERY, error)
            raise
        task = asyncio.create_task(self._ask(request, caller=caller))
        self._tasks.add(task)
        task.add_done_callback(self._left)
        return await asyncio.shield(task)

    def _left(self, task: asyncio.Task[QueryAnswer]) -> None:
        self._room.leave()
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            count_status(QUERY, 200)
        elif isinstance(error, ProblemError):
            count_refusal(QUERY, error)
        else:
            # Told here: whoever asked may have hung up, and then nobody else hears of it.
            log.error("a query failed: %r", error, exc_info=error)
            count_status(QUERY, 500)

    async def _ask(self, request: QueryRequest, *, caller: Caller) -> QueryAnswer:
        asked_s = time.perf_counter()
        if request.request_id is None:
            return await self._answer(request, caller=caller, asked_s=asked_s)
        return await self._memory.once(
            session_id=caller.session_id,
            request_id=str(request.request_id),
            text_digest=text_digest(request.text, secret=self._secret),
            deadline_s=request.deadline_ms / 1000,
            answer=lambda: self._answer(request, caller=caller, asked_s=asked_s),
        )

    async def _answer(
        self, request: QueryRequest, *, caller: Caller, asked_s: float
    ) -> QueryAnswer:
        answer, interaction = await self._answerer.answer(
            request, session_id=caller.session_id, asked_s=asked_s
        )
        with nothing_unwritten():
            await self._logbook.write(interaction)
        count_answer(answer)
        if answer.intent is None and "retriever" in answer.degraded and answer.crisis is None:
            raise ProblemError(
                503,
                "The hub can neither understand nor look anything up just now.",
                kind="nothing-to-say",
                retry_after_s=2,
            )
        return answer

    async def take_feedback(self, request: FeedbackRequest, *, caller: Caller) -> FeedbackAnswer:
        """Keep a thumb from the session that asked.

        Raises ProblemError 404 when the interaction is not this hub's or another session's (whose
        it is, nobody is told), 429 over the quota of thumbs, and 503.
        """
        try:
            stored = await self._give(request, caller=caller)
        except ProblemError as error:
            count_refusal(FEEDBACK, error)
            raise
        count_status(FEEDBACK, 200 if stored else 202)
        return FeedbackAnswer(
            interaction_id=request.interaction_id, status="stored" if stored else "pending"
        )

    async def _give(self, request: FeedbackRequest, *, caller: Caller) -> bool:
        self._address_quota.take(caller.address)
        self._feedback_quota.take(caller.session_id)
        if not is_interaction_of(
            request.interaction_id, session_id=caller.session_id, secret=self._secret
        ):
            raise ProblemError(
                404,
                "This session has no such interaction; only the session that asked may give a"
                " thumb.",
                kind="unknown-interaction",
            )
        feedback = Feedback(
            interaction_id=request.interaction_id,
            asked_at=asked_at(request.interaction_id),
            score=request.score,
            comment=redact(request.comment) if request.comment else None,
            given_at=datetime.now(UTC),
            session_id=caller.session_id,
        )
        with nothing_unwritten():
            return await self._logbook.give(feedback)

    async def readiness(self) -> Readiness:
        """Say whether any answer is possible, from real probes at most a second old."""
        now = time.monotonic()
        if self._readiness is None or now - self._readiness[0] > READY_FOR_S:
            # In a context of its own: others wait for it too when this caller hangs up.
            probe = asyncio.create_task(self._probe(), context=contextvars.Context())
            self._readiness = (now, probe)
        return await asyncio.shield(self._readiness[1])

    async def _probe(self) -> Readiness:
        names = list(self._probes.stages)
        probes = (asyncio.wait_for(self._probes.stages[name](), PROBE_TIMEOUT_S) for name in names)
        outcomes = await asyncio.gather(*probes, return_exceptions=True)
        degraded = [
            name
            for name, outcome in zip(names, outcomes, strict=True)
            if isinstance(outcome, BaseException)
        ]
        return Readiness(ready=not {"classifier", "retriever"} <= set(degraded), degraded=degraded)

    async def models(self) -> Models:
        """Say what the registry's champion is and what every replica holds.

        The champion is null as well while the artifact store does not say, and `embedders` empty
        while the embedder's replicas do not. Raises ProblemError 503 when the classifier's do not
        answer in time, or none takes calls.
        """
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                champion, replicas, embedders = await asyncio.gather(
                    self._champion(), self._probes.replicas(), self._spaces()
                )
        except (TimeoutError, ConnectionError):
            raise ProblemError(
                503, "The classifier's replicas do not answer.", kind="models", retry_after_s=2
            ) from None
        return Models(champion=champion, replicas=replicas, embedders=embedders)

    async def _spaces(self) -> list[ReplicaSpace]:
        try:
            return await asyncio.wait_for(self._probes.spaces(), PROBE_TIMEOUT_S / 2)
        except (TimeoutError, ConnectionError):
            return []  # no reason not to say which models are held

    async def _champion(self) -> str | None:
        try:
            return await asyncio.wait_for(self._probes.champion(), PROBE_TIMEOUT_S / 2)
        except (TimeoutError, ArtifactError) as error:
            log.warning("the champion is not known: %s", str(error) or "no answer in time")
            return None
