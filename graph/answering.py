"""A query's way through the graph: classify and embed, then retrieve, then say what came of it."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from contracts.messages import QueryAnswer, QueryRequest
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import (
    Interaction,
    Prediction,
    RetrievedNode,
    Search,
    Vector,
)
from graph.coalescer import Coalescer
from graph.composing import compose_answer, interaction_of
from graph.crisis import CrisisDetector
from store.identity import issue_interaction_id
from store.redaction import redact

FIRST_STAGE_SHARE = 0.6
"""Of the deadline; what classify and embed have not given by then, retrieval goes without."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stages:
    """The three deployments, as the ingress calls them."""

    classify: Coalescer[str, Prediction]
    embed: Coalescer[str, tuple[str, Vector] | None]
    retrieve: Coalescer[Search, list[RetrievedNode]]


@dataclass(slots=True)
class _Course:
    """What is known of one query so far."""

    started_s: float = field(default_factory=time.perf_counter)
    timings_ms: dict[str, float] = field(default_factory=dict)

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started_s

    def note(self, stage: str, *, since_s: float) -> None:
        self.timings_ms[stage] = round((time.perf_counter() - since_s) * 1000, 1)


class Answerer:
    """Answers queries over the stages; whatever is missing is named in `degraded`."""

    def __init__(self, stages: Stages, *, crisis: CrisisDetector, secret: bytes) -> None:
        self._stages = stages
        self._crisis = crisis
        self._secret = secret

    async def answer(
        self, request: QueryRequest, *, session_id: str, asked_s: float | None = None
    ) -> tuple[QueryAnswer, Interaction]:
        """Return the answer and the interaction to be logged; never raises for a stage that fails.

        Nothing waits past `deadline_ms`, counted from `asked_s` (`perf_counter`; now, when it is
        not given). The text is redacted first: no stage, cache or log sees what the redaction
        seam takes out.
        """
        course = _Course() if asked_s is None else _Course(asked_s)
        card = self._crisis.match(request.text)
        text = redact(request.text)
        deadline_s = request.deadline_ms / 1000

        classifying = self._timed(self._stages.classify.submit(text), course, "classify")
        embedding = self._timed(self._stages.embed.submit(text), course, "embed")
        await _wait(
            classifying, embedding, timeout_s=deadline_s * FIRST_STAGE_SHARE - course.elapsed_s()
        )
        prediction = _result_of(classifying)
        embedded = _result_of(embedding)

        search = _search(text, request=request, prediction=prediction, embedded=embedded)
        retrieving = self._timed(self._stages.retrieve.submit(search), course, "retrieve")
        await _wait(retrieving, classifying, timeout_s=deadline_s - course.elapsed_s())
        nodes = _result_of(retrieving)
        prediction = prediction or _result_of(classifying)
        for future in (classifying, embedding, retrieving):
            future.cancel()

        degraded = [
            stage
            for stage, found in (
                ("classifier", prediction),
                ("embedder", embedded),
                ("retriever", nodes),
            )
            if found is None
        ]
        course.note("total", since_s=course.started_s)
        answer = compose_answer(
            interaction_id=issue_interaction_id(session_id=session_id, secret=self._secret),
            card=card,
            prediction=prediction,
            space=embedded[0] if embedded else None,
            nodes=nodes or [],
            degraded=degraded,
            timings_ms=course.timings_ms,
        )
        return answer, interaction_of(answer, request=request, text=text, session_id=session_id)

    @staticmethod
    def _timed(future: asyncio.Future[T], course: _Course, stage: str) -> asyncio.Future[T]:
        since_s = time.perf_counter()
        future.add_done_callback(
            lambda done: None if done.cancelled() else course.note(stage, since_s=since_s)
        )
        return future


async def _wait(*futures: asyncio.Future[Any], timeout_s: float) -> None:
    await asyncio.wait(futures, timeout=max(0.0, timeout_s))


def _result_of(future: asyncio.Future[T]) -> T | None:
    """The result of a stage, or None when it failed (its coalescer logged why) or is late."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return None
    return future.result()


def _search(
    text: str,
    *,
    request: QueryRequest,
    prediction: Prediction | None,
    embedded: tuple[str, Vector] | None,
) -> Search:
    prefers = prediction is not None and prediction.intent != OUT_OF_SCOPE
    return Search(
        text=text,
        vector=np.asarray(embedded[1], dtype=np.float32) if embedded else None,
        space=embedded[0] if embedded else None,
        intent=prediction.intent if prediction and prefers else None,
        confidence=prediction.confidence if prediction and prefers else 0.0,
        top_k=request.top_k,
        tags=request.tags,
    )
