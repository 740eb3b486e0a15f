"""What a replica knows of itself: its name, its memory, its log."""

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path

from ray import serve

from deployments.metrics import metrics
from store.database import Pool

_PAGE_BYTES = 4096
_CLEARLY_BELOW = 0.95
"""Share of the limit below which a replica is under it again: what hovers there is one crossing."""

log = logging.getLogger("ray.serve")


def resident_bytes() -> int:
    """Return this process's resident memory, in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * _PAGE_BYTES


def give_memory_back() -> None:
    """Let the kernel have what was freed here and is kept for later: a model's memory (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def report_memory(deployment: str) -> int:
    """Publish this process's resident memory under its deployment's name and return it."""
    held = resident_bytes()
    metrics().memory_bytes.set(held, {"deployment": deployment})
    return held


def report_pool(pool: Pool, deployment: str) -> None:
    """Publish how many connections a pool has, and who waits for one and how long."""
    stats = pool.pop_stats()
    idle = stats.get("pool_available", 0)
    for state, count in (("idle", idle), ("busy", stats.get("pool_size", 0) - idle)):
        metrics().database_connections.set(count, {"deployment": deployment, "state": state})
    metrics().database_waiting.set(stats.get("requests_waiting", 0), {"deployment": deployment})
    if waited_ms := stats.get("requests_wait_ms", 0):
        metrics().database_wait.inc(waited_ms, {"deployment": deployment})


class LimitedMemory:
    """A replica's resident memory and its limit: above it, a line and a count once a crossing."""

    def __init__(
        self, deployment: str, *, limit_bytes: int, measure: Callable[[str], int] = report_memory
    ) -> None:
        self._deployment = deployment
        self._limit_bytes = limit_bytes
        self._measure = measure
        self.is_over = False

    def report(self) -> int:
        """Publish the memory held now, warn if it has come over the limit, and return it."""
        held = self._measure(self._deployment)
        was_over = self.is_over
        self.is_over = held > self._limit_bytes * (_CLEARLY_BELOW if was_over else 1)
        tags = {"deployment": self._deployment}
        metrics().memory_limit.set(self._limit_bytes, tags)
        metrics().memory_over_limit.set(int(self.is_over), tags)
        if self.is_over and not was_over:
            metrics().memory_crossings.inc(1, tags)
            log.warning(
                "this %s holds %.0f MB of memory, over its limit of %.0f MB",
                self._deployment,
                held / 1e6,
                self._limit_bytes / 1e6,
            )
        return held


def replica_name() -> str:
    """Return the name under which Serve knows this replica."""
    return str(serve.get_replica_context().replica_id.unique_id)


def log_as_serve() -> None:
    """Let what our own packages log go where Serve's replicas log: as JSON, with the request_id."""
    for package in ("models", "store"):
        logger = logging.getLogger(package)
        logger.parent = logging.getLogger("ray.serve")
        logger.setLevel(logging.INFO)
