"""The embedder: queries to vectors. Scaled on the queries that wait, not on calls."""

import logging
import time
from pathlib import Path

from ray import serve
from redis.asyncio import Redis

from contracts.records import Vectors
from contracts.settings import Settings
from deployments.autoscaling import QUERIES_RUNNING, QUERIES_WAITING
from deployments.embedding_cache import CachedEncoder, SharedCache, Task
from deployments.metrics import metrics
from deployments.replica import log_as_serve, replica_name, report_memory
from models.encoder import Encoder

STALE_AFTER_S = 1.0
"""A queue that the ingress reported longer ago than this says nothing about now."""

log = logging.getLogger("ray.serve")


class LocalEncoder:
    """The ONNX encoder of this machine, as a TextEncoder."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._encoder = Encoder(folder, threads=threads)

    @property
    def fingerprint(self) -> str:
        return self._encoder.space.fingerprint

    @property
    def dims(self) -> int:
        return self._encoder.space.dims

    async def encode(self, texts: list[str], *, task: Task) -> Vectors:
        """Encode in this loop: a thread of its own costs more than it frees (see decision 5)."""
        return self._encoder.encode(texts)


@serve.deployment
class Embedder:
    """One replica: an encoder, its caches, and its own account of the load."""

    def __init__(self) -> None:
        log_as_serve()
        settings = Settings()
        encoder = LocalEncoder(settings.encoder_dir)
        shared = None
        if settings.redis_url:
            shared = SharedCache(
                Redis.from_url(settings.redis_url, socket_connect_timeout=0.2),
                secret=settings.require_secret(),
            )
        self._cached = CachedEncoder(
            encoder,
            entries=settings.embedding_cache_entries,
            shared=shared,
            count=lambda tier, texts: metrics().cache.inc(texts, {"tier": tier}) if texts else None,
        )
        self._name = replica_name()
        self._running = 0
        self._waiting = 0
        self._heard_at_s = 0.0
        log.info("embedder ready in space %s", encoder.fingerprint)

    async def embed(self, texts: list[str], waiting: int = 0) -> tuple[str, str, Vectors]:
        """Return this replica, the space's fingerprint and one unit vector a query, in order.

        `waiting` is how many queries the ingress still holds: the autoscaler must know.
        """
        self._waiting, self._heard_at_s = waiting, time.monotonic()
        self._running += len(texts)
        try:
            vectors = await self._cached.embed(texts, task="query")
            return self._name, self._cached.fingerprint, vectors
        finally:
            self._running -= len(texts)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Tell Serve's autoscaler about queries (see deployments/autoscaling.py)."""
        fresh = time.monotonic() - self._heard_at_s < STALE_AFTER_S
        return {
            QUERIES_RUNNING: float(self._running),
            QUERIES_WAITING: float(self._waiting if fresh else 0),
        }

    async def check_health(self) -> None:
        """One real forward pass; a replica that cannot encode is replaced."""
        report_memory("embedder")
        await self._cached.embed(["health"], task="document")
