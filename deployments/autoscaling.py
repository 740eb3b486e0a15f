"""Scale on queries, not on calls: the ingress sends many queries in one call, which hides load."""

import math
from typing import Any

from ray.serve.config import AutoscalingContext

QUERIES_RUNNING = "queries_running"
"""Reported by each replica: queries inside its calls."""

QUERIES_WAITING = "queries_waiting"
"""Reported by each replica: queries that the ingress still held when it last called."""


class QueriesPerReplica:
    """A Serve autoscaling policy: as many replicas as keep `target_queries` on each.

    Serve applies the deployment's delays, bounds and factors to what this returns.
    """

    def __init__(self, *, target_queries: float = 8.0) -> None:
        self._target_queries = target_queries

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        metrics = context.aggregated_metrics or {}
        running = sum(metrics.get(QUERIES_RUNNING, {}).values())
        # Each replica hears the same queue from the same ingress: the largest is the queue.
        waiting = max(metrics.get(QUERIES_WAITING, {}).values(), default=0.0)
        wanted = math.ceil((running + waiting) / self._target_queries)
        return max(1, wanted), {}
