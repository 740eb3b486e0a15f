"""Scale on queries, not on calls: the ingress sends many queries in one call, which hides load."""

import math
from typing import Any

from ray.serve.config import AutoscalingContext

QUERIES_HELD = "queries_held"
"""Reported by each replica: queries that the ingresses which call it wait for, all together."""


class QueriesPerReplica:
    """A Serve autoscaling policy: as many replicas as keep `target_queries` on each.

    Serve applies the deployment's delays, bounds and factors to what this returns.
    """

    def __init__(self, *, target_queries: float = 8.0) -> None:
        self._target_queries = target_queries

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        metrics = context.aggregated_metrics or {}
        # Every replica hears of the same queues from the same ingresses; who heard most knows best.
        held = max(metrics.get(QUERIES_HELD, {}).values(), default=0.0)
        return max(1, math.ceil(held / self._target_queries)), {}
