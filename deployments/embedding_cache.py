"""The way of a text to its vector: own memory, then the shared cache, then the model."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.errors import EmbedderAway
from contracts.records import Vector, Vectors
from contracts.text import normalise
from models.text_encoder import Task

Tier = Literal["memory", "shared", "model"]
TIERS: tuple[str, ...] = get_args(Tier)

T = TypeVar("T")

log = logging.getLogger(__name__)


class AwaitedEncoder(Protocol):
    """A TextEncoder as an event loop asks it: see deployments/embedder.py."""

    @property
    def fingerprint(self) -> str:
        """Name of the vector space."""

    @property
    def dims(self) -> int:
        """Width of a vector."""

    async def encode(self, texts: list[str], *, task: Task) -> Vectors:
        """Return one unit vector a text: shape (texts, dims), float32. Raises EmbedderAway."""


class SharedCache:
    """Vectors in Redis, under keyed digests: who reads the cache learns no query.

    Redis that is away or slow is passed by for `rest_s`; it costs time, never an answer.
    """

    def __init__(
        self,
        client: Redis,
        *,
        secret: bytes,
        timeout_s: float = 0.05,
        ttl_s: int = 7 * 24 * 3600,
        rest_s: float = 5.0,
    ) -> None:
        self._client = client
        self._secret = secret
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._rest_s = rest_s
        self._resting_until = 0.0

    def _name(self, key: str) -> str:
        return "hub:vector:" + hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()

    async def get(self, keys: list[str], *, dims: int) -> list[Vector | None]:
        """Return the vector of each key, or None where there is none (or Redis rests)."""
        if time.monotonic() < self._resting_until:
            return [None] * len(keys)
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.mget([self._name(key) for key in keys])
        except (RedisError, OSError, TimeoutError) as error:
            self._rest(error)
            return [None] * len(keys)
        return [
            np.frombuffer(value, dtype=np.float32)
            if isinstance(value, bytes) and len(value) == 4 * dims
            else None
            for value in found
        ]

    async def put(self, vectors: dict[str, Vector]) -> None:
        """Keep vectors for others."""
        if time.monotonic() < self._resting_until:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                pipeline = self._client.pipeline(transaction=False)
                for key, vector in vectors.items():
                    pipeline.set(self._name(key), vector.tobytes(), ex=self._ttl_s)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._rest(error)

    def _rest(self, error: Exception) -> None:
        self._resting_until = time.monotonic() + self._rest_s
        log.warning("shared cache away, resting %.0f s: %s", self._rest_s, type(error).__name__)


class CachedEncoder:
    """An encoder behind its caches; identical texts in flight are encoded once."""

    def __init__(
        self,
        encoder: AwaitedEncoder,
        *,
        entries: int,
        shared: SharedCache | None = None,
        count: Callable[[Tier, int], None] = lambda tier, texts: None,
    ) -> None:
        """`entries` bounds the memory tier; `count(tier, texts)` is told who answered."""
        self._encoder = encoder
        self._entries = entries
        self._shared = shared
        self._count = count
        self._memory: OrderedDict[str, Vector] = OrderedDict()
        self._in_flight: dict[str, asyncio.Task[dict[str, Vector]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    async def embed(self, texts: list[str], *, task: Task) -> list[Vector | None]:
        """Return one unit vector a text, in order, or None where no cache has it and the encoder
        is away.

        What is encoded is the normalised text, so that equal keys mean equal vectors.
        """
        normalised = [normalise(text) for text in texts]
        keys = [f"{self.fingerprint}:{task}:{text}" for text in normalised]
        found: dict[str, Vector] = {}
        waiting: dict[str, asyncio.Task[dict[str, Vector]]] = {}
        missing: dict[str, str] = {}
        for key, text in zip(keys, normalised, strict=True):
            if key in found or key in waiting or key in missing:
                continue
            if (vector := self._memory.get(key)) is not None:
                self._memory.move_to_end(key)
                found[key] = vector
            elif (fetch := self._in_flight.get(key)) is not None:
                waiting[key] = fetch
            else:
                missing[key] = text
        self._count("memory", len(keys) - len(missing))
        if missing:
            # A task of its own: who asked first may leave while others wait for the same text.
            fetch = self._keep(asyncio.create_task(self._fetch(missing, task=task)))
            fetch.add_done_callback(_see)
            self._in_flight |= dict.fromkeys(missing, fetch)
            waiting |= dict.fromkeys(missing, fetch)
        for key, fetch in waiting.items():
            if (vector := (await asyncio.shield(fetch)).get(key)) is not None:
                found[key] = vector
        return [found.get(key) for key in keys]

    async def _fetch(self, missing: dict[str, str], *, task: Task) -> dict[str, Vector]:
        """Get vectors from the shared cache or the model, for all who wait for them.

        Without those for which the encoder is away.
        """
        try:
            found = await self._from_shared(list(missing))
            self._count("shared", len(found))
            if left := {key: text for key, text in missing.items() if key not in found}:
                made = await self._encode(left, task=task)
                self._count("model", len(made))
                if made and self._shared is not None:
                    self._keep(asyncio.create_task(self._shared.put(made)))
                found |= made
            for key, vector in found.items():
                self._remember(key, vector)
            return found
        finally:
            for key in missing:
                del self._in_flight[key]

    async def _encode(self, texts: dict[str, str], *, task: Task) -> dict[str, Vector]:
        try:
            vectors = await self._encoder.encode(list(texts.values()), task=task)
        except EmbedderAway as error:
            log.debug("%d texts without a vector: %s", len(texts), error)
            return {}
        return dict(zip(texts, vectors, strict=True))

    async def _from_shared(self, keys: list[str]) -> dict[str, Vector]:
        if self._shared is None:
            return {}
        vectors = await self._shared.get(keys, dims=self._encoder.dims)
        return {key: v for key, v in zip(keys, vectors, strict=True) if v is not None}

    def _keep(self, work: asyncio.Task[T]) -> asyncio.Task[T]:
        """Hold a task until it is done: the loop itself does not."""
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        return work

    def _remember(self, key: str, vector: Vector) -> None:
        vector.setflags(write=False)  # an answer is the entry itself
        self._memory[key] = vector
        if len(self._memory) > self._entries:
            self._memory.popitem(last=False)


def _see(fetch: asyncio.Task[dict[str, Vector]]) -> None:
    # Its error is for those who wait; when all of them have left, nobody need hear of it.
    if not fetch.cancelled():
        fetch.exception()
