"""What a replica knows of itself: its name, its memory, its log."""

import logging
from pathlib import Path

from ray import serve

from deployments.metrics import metrics

_PAGE_BYTES = 4096


def resident_bytes() -> int:
    """Return this process's resident memory, in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * _PAGE_BYTES


def report_memory(deployment: str) -> int:
    """Publish this process's resident memory under its deployment's name and return it."""
    held = resident_bytes()
    metrics().memory_bytes.set(held, {"deployment": deployment})
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
