"""What a user would write instead of the graph: one FastAPI application with everything inside.

It uses the same models/, store/ and contracts/ as the graph: the same artifacts, search, sessions,
redaction, crisis card, JSON answer and logging guarantee (the spool before the 200, Postgres within
a second). It has no model swap, no metrics, no quota, no repeated request_id and no way to grow a
part alone; what it lacks makes it faster here. It runs under uvicorn with uvloop and httptools.
"""

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from contracts.messages import (
    Alternative,
    Crisis,
    QueryAnswer,
    QueryRequest,
    Result,
    field_problems,
)
from contracts.outcome import MESSAGES, OUT_OF_SCOPE, decide
from contracts.records import (
    IntentProbability,
    Interaction,
    Prediction,
    RetrievedNode,
    Search,
    Vector,
)
from contracts.settings import DATA, Settings
from contracts.text import normalise
from graph.crisis import CrisisDetector
from models.classifier import IntentClassifier
from models.encoder import Encoder
from store.artifacts import open_store
from store.database import Pool, open_pool
from store.embedded import database_url
from store.identity import asked_at, issue_interaction_id, issue_session, session_of
from store.logbook import AWAY, Logbook
from store.redaction import redact
from store.registry import SERVED_FILES, Registry
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch

SESSION_HEADER = "X-Hub-Session"
SESSION_COOKIE = "hub_session"

_PR_SET_PDEATHSIG = 1

log = logging.getLogger("uvicorn.error")

THREADS = int(os.environ.get("MONO_THREADS", "2"))
"""For the models: ONNX Runtime leaves the interpreter's lock, so two of them use two cores."""


class Brain:
    """The two models, and the vectors of the texts that were asked last.

    Each model runs in a thread, both at once for one question: that measured better for the
    monolith than running them in the event loop (one core only) or collecting what waits.
    """

    def __init__(self, settings: Settings) -> None:
        registry = Registry(open_store(settings.artifacts_root))
        champion = registry.champion()
        assert champion is not None, "the benchmark prepares the models first"
        folder = registry.fetch(
            champion.version, cache_dir=settings.home_dir / "cache", only=SERVED_FILES
        )
        self._classifier = IntentClassifier(folder)
        self._encoder = Encoder(settings.encoder_dir)
        self._entries = settings.embedding_cache_entries
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS)

    @property
    def space(self) -> str:
        return self._encoder.space.fingerprint

    async def understand(self, text: str) -> tuple[Prediction, Vector]:
        loop = asyncio.get_running_loop()
        predicting = loop.run_in_executor(self._threads, self._classifier.predict, [text])
        vector = await self._embed(text)
        (prediction,) = await predicting
        return prediction, vector

    async def _embed(self, text: str) -> Vector:
        key = normalise(text)
        vector = self._vectors.get(key)
        if vector is None:
            loop = asyncio.get_running_loop()
            (vector,) = await loop.run_in_executor(self._threads, self._encoder.encode, [key])
            if len(self._vectors) >= self._entries:
                self._vectors.popitem(last=False)
            self._vectors[key] = vector
        else:
            self._vectors.move_to_end(key)
        return vector


class Monolith:
    """Everything one worker holds."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.require_secret()
        self._crisis = CrisisDetector.from_yaml(DATA / "crisis.yaml")
        self._brain = Brain(settings)
        self._pool: Pool = open_pool(
            database_url(settings), size=settings.database_pool_size, options=SERVER_OPTIONS
        )
        self._search = KnowledgeSearch(self._pool)
        self._logbook = Logbook(
            self._pool, root=settings.spool_dir, retention_days=settings.retention_days
        )

    async def open(self) -> None:
        await self._pool.open(wait=True)

    async def close(self) -> None:
        await self._logbook.close()
        await self._pool.close()

    def session(self, request: Request) -> tuple[str, str | None]:
        """Return the caller's session id, and the token of a session that is new."""
        token = request.headers.get(SESSION_HEADER) or request.cookies.get(SESSION_COOKIE)
        session_id = session_of(token, secret=self._secret) if token else None
        return (session_id, None) if session_id else issue_session(secret=self._secret)

    async def answer(self, request: QueryRequest, *, session_id: str) -> QueryAnswer:
        """Answer a question and write it down before it is given."""
        since_s = time.perf_counter()
        card = self._crisis.match(request.text)
        text = redact(request.text)
        prediction, vector = await self._brain.understand(text)
        understood_s = time.perf_counter()
        prefers = prediction.intent != OUT_OF_SCOPE
        nodes: list[RetrievedNode] = []
        degraded: list[str] = []
        try:
            async with asyncio.timeout(request.deadline_ms / 1000):
                (nodes,) = await self._search.search(
                    [
                        Search(
                            text=text,
                            vector=vector,
                            space=self._brain.space,
                            intent=prediction.intent if prefers else None,
                            confidence=prediction.confidence if prefers else 0.0,
                            top_k=request.top_k,
                            tags=request.tags,
                        )
                    ]
                )
        except AWAY as error:  # a TimeoutError is an OSError
            log.warning("no results: %s", type(error).__name__)
            degraded.append("retriever")
        now_s = time.perf_counter()
        outcome, because = decide(
            prediction.intent,
            confidence=prediction.confidence,
            runner_up=prediction.alternatives[1].confidence,
        )
        answer = QueryAnswer(
            interaction_id=issue_interaction_id(secret=self._secret),
            outcome=outcome,
            message=None if card else MESSAGES[outcome],
            crisis=Crisis(title=card.title, text=card.text, phone=card.phone, url=card.url)
            if card
            else None,
            intent=prediction.intent,
            confidence=prediction.confidence,
            is_confused=outcome != "answered",
            confused_because=because,
            alternatives=[
                Alternative(intent=one.intent, confidence=one.confidence)
                for one in prediction.alternatives
            ],
            results=[
                Result(
                    id=node.id,
                    title=node.title,
                    snippet=node.snippet,
                    url=node.url,
                    intent=node.intent,
                    score=node.score,
                )
                for node in nodes
            ],
            degraded=degraded,
            model_version=prediction.model_version,
            embedding_space=self._brain.space,
            timings_ms={
                "understand": round((understood_s - since_s) * 1000, 1),
                "retrieve": round((now_s - understood_s) * 1000, 1),
                "total": round((now_s - since_s) * 1000, 1),
            },
        )
        await self._logbook.write(
            _interaction(answer, request=request, text=text, session_id=session_id)
        )
        return answer


def _interaction(
    answer: QueryAnswer, *, request: QueryRequest, text: str, session_id: str
) -> Interaction:
    return Interaction(
        interaction_id=answer.interaction_id,
        asked_at=asked_at(answer.interaction_id),
        session_id=session_id,
        request_id=str(request.request_id) if request.request_id else None,
        query_text=text,
        outcome=answer.outcome,
        confused_because=answer.confused_because,
        intent=answer.intent,
        confidence=answer.confidence,
        alternatives=tuple(
            IntentProbability(one.intent, one.confidence) for one in answer.alternatives
        ),
        result_ids=tuple(result.id for result in answer.results),
        degraded=tuple(answer.degraded),
        is_crisis=answer.crisis is not None,
        model_version=answer.model_version,
        embedding_space=answer.embedding_space,
        timings_ms=answer.timings_ms,
    )


def build() -> FastAPI:
    """Return one worker's application; its state opens and closes with it."""
    held: list[Monolith] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        monolith = Monolith(Settings())
        await monolith.open()
        held.append(monolith)
        yield
        await monolith.close()

    app = FastAPI(title="Student Resource Hub: the monolith", lifespan=lifespan)

    @app.post("/v1/query", response_model=QueryAnswer)
    async def query(request: Request) -> Response:
        try:
            message = QueryRequest.model_validate_json(await request.body())
        except ValidationError as error:
            problems = field_problems(error.errors(include_url=False, include_input=False))
            return JSONResponse({"errors": [one.model_dump() for one in problems]}, 422)
        monolith = held[0]
        session_id, new_token = monolith.session(request)
        answer = await monolith.answer(message, session_id=session_id)
        response = Response(answer.model_dump_json(), media_type="application/json")
        if new_token is not None:
            response.headers[SESSION_HEADER] = new_token
            response.set_cookie(SESSION_COOKIE, new_token, httponly=True, samesite="lax")
        return response

    @app.get("/v1/healthz")
    async def healthz() -> dict[str, int]:
        return {"pid": os.getpid()}  # by which a caller counts the workers that are up

    return app


def main() -> None:
    """Serve on a port of loopback until SIGTERM, or until whoever started this is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    uvicorn.run(
        "benchmarks.monolith:build",
        factory=True,
        host="127.0.0.1",
        port=arguments.port,
        workers=arguments.workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
