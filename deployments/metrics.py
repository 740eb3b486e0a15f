"""The hub's metric names, in one place: kept as they are, since dashboards and alerts use them.

Prometheus sees them as `ray_` and the name. What each one means to operations stands in
docs/runbook.md; why gauges are set again and again, and counters begin at 0, in
docs/decisions/0031-what-ray-forgets.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

from ray.util.metrics import Counter, Gauge, Histogram

_LATENCY_BUCKETS_MS: list[float] = [
    1,
    2,
    5,
    10,
    20,
    35,
    50,
    75,
    100,
    150,
    200,
    350,
    500,
    1000,
    2000,
    5000,
]
_CONFIDENCE_BUCKETS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]

GAUGE_LASTS_S = 20.0
"""A gauge that is not set again for so long is gone from Prometheus: Ray forgets it."""


@dataclass(frozen=True)
class Metrics:
    """Every metric that a replica of ours reports."""

    requests: Counter
    refused: Counter
    outcomes: Counter
    degraded: Counter
    stage_latency: Histogram
    confidence: Histogram
    batch_size: Histogram
    cache: Counter
    waiting: Gauge
    ready: Gauge
    stage_up: Gauge
    spool_depth: Gauge
    spool_stored: Counter
    spool_refused: Counter
    database_connections: Gauge
    database_waiting: Gauge
    database_wait: Counter
    model_version: Gauge
    scans_on: Gauge
    champion: Gauge
    newest_version: Gauge
    snapshot: Gauge
    review_items: Gauge
    labels_verified: Gauge
    memory_bytes: Gauge
    memory_limit: Gauge
    memory_over_limit: Gauge
    memory_crossings: Counter
    memory_replacements: Counter
    swaps: Counter


@cache
def metrics() -> Metrics:
    """Return this process's metrics, made on first use."""
    return Metrics(
        requests=Counter("hub_requests_total", "Requests by path and status.", ("path", "status")),
        refused=Counter("hub_refused_total", "Requests that were refused.", ("reason",)),
        outcomes=Counter("hub_outcomes_total", "Answers by outcome.", ("outcome",)),
        degraded=Counter("hub_degraded_total", "Answers that lacked a stage.", ("stage",)),
        stage_latency=Histogram(
            "hub_stage_latency_ms", "Latency per stage.", _LATENCY_BUCKETS_MS, ("stage",)
        ),
        confidence=Histogram(
            "hub_confidence", "Calibrated confidence of answers.", _CONFIDENCE_BUCKETS
        ),
        batch_size=Histogram(
            "hub_batch_size", "Queries that shared one hop.", [1, 2, 4, 8, 16, 32], ("stage",)
        ),
        cache=Counter("hub_embedding_cache_total", "Texts by the tier that answered.", ("tier",)),
        waiting=Gauge("hub_queries_waiting", "Queries in the ingress, answered or not yet."),
        ready=Gauge("hub_ready", "1 while any answer is possible."),
        stage_up=Gauge("hub_stage_up", "1 while a stage answers its probe.", ("stage",)),
        spool_depth=Gauge("hub_spool_depth", "Rows not in Postgres yet."),
        spool_stored=Counter("hub_spool_stored_total", "Rows stored from the spool.", ("kind",)),
        spool_refused=Counter(
            "hub_spool_refused_total", "Rows that Postgres refused; kept in rejected.jsonl."
        ),
        database_connections=Gauge(
            "hub_database_connections", "Connections to Postgres.", ("deployment", "state")
        ),
        database_waiting=Gauge(
            "hub_database_waiting", "Calls that wait for a connection.", ("deployment",)
        ),
        database_wait=Counter(
            "hub_database_wait_ms_total", "Time waited for a connection.", ("deployment",)
        ),
        model_version=Gauge(
            "hub_model_version", "1 for the version that a replica holds.", ("version", "replica")
        ),
        scans_on=Gauge(
            "hub_pgvector_scans_on",
            "1 where filtered searches go through the index, 0 where they may compare every row.",
            ("postgres", "pgvector"),
        ),
        champion=Gauge(
            "hub_champion_timestamp_seconds", "When the champion became it.", ("version",)
        ),
        newest_version=Gauge(
            "hub_newest_version_timestamp_seconds", "When the newest version was made."
        ),
        snapshot=Gauge(
            "hub_snapshot_timestamp_seconds", "When the newest snapshot was taken; 0: never."
        ),
        review_items=Gauge("hub_review_items_open", "Queries that wait for labels."),
        labels_verified=Gauge("hub_labels_verified", "Queries whose label is verified."),
        memory_bytes=Gauge("hub_memory_bytes", "Resident memory of a replica.", ("deployment",)),
        memory_limit=Gauge(
            "hub_memory_limit_bytes", "Memory above which a replica is over it.", ("deployment",)
        ),
        memory_over_limit=Gauge(
            "hub_memory_over_limit", "1 while a replica holds more than it may.", ("deployment",)
        ),
        memory_crossings=Counter(
            "hub_memory_crossings_total", "Times a replica came over its limit.", ("deployment",)
        ),
        memory_replacements=Counter(
            "hub_memory_replacements_total", "Replicas that the memory watch started.", ("version",)
        ),
        swaps=Counter("hub_model_swaps_total", "Model swaps by result.", ("result",)),
    )


def begin_at_zero(counter: Counter, values: Mapping[str, tuple[str, ...]] | None = None) -> None:
    """Show a counter with 0 for each combination of its labels' `values`, before it counts.

    Prometheus sees an increase only from a number that it has seen before, and a panel without a
    number says nothing.
    """
    values = values or {}
    for combination in product(*values.values()):
        # `inc` refuses 0; this is what it calls.
        counter._record(0, dict(zip(values, combination, strict=True)))
