"""How many replicas so many queries want."""

from types import SimpleNamespace
from typing import cast

import pytest
from ray.serve.config import AutoscalingContext

from deployments.autoscaling import QUERIES_RUNNING, QUERIES_WAITING, QueriesPerReplica


def wanted(running: list[float], waiting: list[float], *, target_queries: float = 8) -> int:
    metrics = {
        QUERIES_RUNNING: {f"replica{n}": value for n, value in enumerate(running)},
        QUERIES_WAITING: {f"replica{n}": value for n, value in enumerate(waiting)},
    }
    return policy(metrics, target_queries=target_queries)


def policy(metrics: object, *, target_queries: float = 8) -> int:
    context = cast(AutoscalingContext, SimpleNamespace(aggregated_metrics=metrics))
    replicas, _ = QueriesPerReplica(target_queries=target_queries)(context)
    return replicas


@pytest.mark.parametrize(
    ("running", "waiting", "replicas"),
    [
        ([], [], 1),
        ([0.0], [0.0], 1),
        ([8.0], [0.0], 1),
        ([8.0], [0.5], 2),
        ([8.0, 8.0], [0.0, 0.0], 2),
        ([8.0, 8.0, 1.0], [0.0], 3),
        ([0.0], [24.0], 3),
    ],
)
def test_each_replica_has_at_most_its_target(
    running: list[float], waiting: list[float], replicas: int
) -> None:
    assert wanted(running, waiting) == replicas


def test_the_queue_of_the_ingress_counts_once_though_every_replica_reports_it() -> None:
    assert wanted([8.0, 8.0], [16.0, 16.0]) == 4


def test_there_is_always_one_replica_even_before_the_first_report() -> None:
    assert policy(None) == 1
    assert policy({}) == 1


def test_the_target_can_be_set() -> None:
    assert wanted([10.0], [0.0], target_queries=2.5) == 4
