"""The monolith's inside: both models, the search and the logbook in one process, without HTTP."""

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from contracts.messages import QueryAnswer, QueryRequest
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import (
    Prediction,
    RetrievedNode,
    Search,
    Vector,
)
from contracts.settings import DATA, Settings
from contracts.text import normalise
from graph.composing import compose_answer, interaction_of
from graph.crisis import CrisisDetector
from models.classifier import IntentClassifier
from models.encoder import Encoder
from store.artifacts import open_store
from store.database import Pool, open_pool
from store.embedded import database_url
from store.identity import issue_interaction_id, issue_session, session_of
from store.logbook import AWAY, Logbook
from store.redaction import redact
from store.registry import SERVED_FILES, Registry
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch

log = logging.getLogger("uvicorn.error")

THREADS = 2
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
        folder = registry.fetch(champion.version, cache_dir=settings.cache_dir, only=SERVED_FILES)
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

    def session(self, token: str | None) -> tuple[str, str | None]:
        """Return the session id of a caller's token, and the token of a session that is new."""
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
        answer = compose_answer(
            interaction_id=issue_interaction_id(session_id=session_id, secret=self._secret),
            card=card,
            prediction=prediction,
            space=self._brain.space,
            nodes=nodes,
            degraded=degraded,
            timings_ms={
                "understand": round((understood_s - since_s) * 1000, 1),
                "retrieve": round((now_s - understood_s) * 1000, 1),
                "total": round((now_s - since_s) * 1000, 1),
            },
        )
        await self._logbook.write(
            interaction_of(answer, request=request, text=text, session_id=session_id)
        )
        return answer
