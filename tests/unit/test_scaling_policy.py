"""How many replicas so many queries want."""

from types import SimpleNamespace
from typing import cast

import pytest
from ray.serve.config import AutoscalingContext

from deployments.autoscaling import QUERIES_HELD, QueriesPerReplica


def wanted(held: list[float], *, target_queries: float = 8) -> int:
    metrics = {QUERIES_HELD: {f"replica{n}": value for n, value in enumerate(held)}}
    return policy(metrics, target_queries=target_queries)


def policy(metrics: object, *, target_queries: float = 8) -> int:
    context = cast(AutoscalingContext, SimpleNamespace(aggregated_metrics=metrics))
    replicas, _ = QueriesPerReplica(target_queries=target_queries)(context)
    return replicas


@pytest.mark.parametrize(
    ("held", "replicas"), [([], 1), ([0.0], 1), ([8.0], 1), ([8.5], 2), ([16.0], 2), ([24.0], 3)]
)
def test_each_replica_has_at_most_its_target(held: list[float], replicas: int) -> None:
    assert wanted(held) == replicas


def test_the_queues_count_once_though_every_replica_hears_of_them() -> None:
    assert wanted([30.0, 32.0, 16.0]) == 4


def test_there_is_always_one_replica_even_before_the_first_report() -> None:
    assert policy(None) == 1
    assert policy({}) == 1


def test_the_target_can_be_set() -> None:
    assert wanted([10.0], target_queries=2.5) == 4
