"""The embedder: queries to vectors. Scaled on the queries that wait, not on calls."""

import asyncio
import logging
import time

from ray import serve
from redis.asyncio import Redis

from contracts.records import Vector, Vectors
from contracts.settings import Settings
from deployments.autoscaling import QUERIES_HELD
from deployments.embedding_cache import TIERS, CachedEncoder, SharedCache
from deployments.metrics import begin_at_zero, metrics
from deployments.replica import log_as_serve, replica_name, report_memory
from models.chosen_encoder import open_text_encoder
from models.text_encoder import Task, TextEncoder

STALE_AFTER_S = 1.0
"""A queue that the ingress reported longer ago than this says nothing about now."""

log = logging.getLogger("ray.serve")


class Asked:
    """A TextEncoder as this replica's event loop asks it."""

    def __init__(self, encoder: TextEncoder, *, is_service: bool) -> None:
        self._encoder = encoder
        self.is_service = is_service

    @property
    def fingerprint(self) -> str:
        return self._encoder.space.fingerprint

    @property
    def dims(self) -> int:
        return self._encoder.space.dims

    async def encode(self, texts: list[str], *, task: Task) -> Vectors:
        """Compute in this loop: a thread of its own costs more than it frees (see decision 5).

        A service is waited for in a thread. Raises EmbedderAway when it gives no vectors.
        """
        if self.is_service:
            return await asyncio.to_thread(self._encoder.encode, texts, task=task)
        return self._encoder.encode(texts, task=task)


@serve.deployment
class Embedder:
    """One replica: an encoder, its caches, and its own account of the load."""

    def __init__(self) -> None:
        log_as_serve()
        settings = Settings()
        self._settings = settings
        self._encoder = Asked(open_text_encoder(settings), is_service=settings.embedder != "local")
        shared = None
        if settings.redis_url:
            shared = SharedCache(
                Redis.from_url(settings.redis_url, socket_connect_timeout=0.2),
                secret=settings.require_secret(),
            )
        self._cached = CachedEncoder(
            self._encoder,
            entries=settings.embedding_cache_entries,
            shared=shared,
            count=lambda tier, texts: metrics().cache.inc(texts, {"tier": tier}) if texts else None,
        )
        begin_at_zero(metrics().cache, {"tier": TIERS})
        self._name = replica_name()
        self._held: dict[str, tuple[float, int]] = {}
        log.info("embedder ready in space %s", self._encoder.fingerprint)

    async def embed(
        self, texts: list[str], ingress: str = "", held: int = 0
    ) -> tuple[str, str, list[Vector | None]]:
        """Return this replica, the space's fingerprint and one unit vector a query, in order.

        None stands for a query that no cache knows, while the service that embeds is away.
        `held` is how many queries that ingress waits for in all: the autoscaler must know.
        """
        self._held[ingress] = time.monotonic(), held
        vectors = await self._cached.embed(texts, task="query")
        return self._name, self._encoder.fingerprint, vectors

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Tell Serve's autoscaler about queries (see deployments/autoscaling.py)."""
        now = time.monotonic()
        self._held = {
            ingress: (heard_at_s, held)
            for ingress, (heard_at_s, held) in self._held.items()
            if now - heard_at_s < STALE_AFTER_S
        }
        return {QUERIES_HELD: float(sum(held for _, held in self._held.values()))}

    async def report(self) -> dict[str, str]:
        """Say in which space this replica really embeds; a ReplicaSpace of the contract."""
        return {
            "replica": self._name,
            "space": self._encoder.fingerprint,
            "embedder": self._settings.embedder,
        }

    async def check(self) -> None:
        """Embed something, past the caches; raises when that fails. The ingress asks this."""
        await self._encoder.encode(["ready"], task="query")

    async def check_health(self) -> None:
        """The replica's own health: one real forward pass of a model that it holds itself.

        A service that is away is no reason to restart who asks it.
        """
        report_memory("embedder")
        if not self._encoder.is_service:
            await self.check()
