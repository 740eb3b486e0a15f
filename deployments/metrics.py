"""The hub's metric names, in one place: kept as they are, since dashboards and alerts use them."""

from dataclasses import dataclass
from functools import cache

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


@dataclass(frozen=True)
class Metrics:
    """Every metric that a replica of ours reports."""

    requests: Counter
    outcomes: Counter
    degraded: Counter
    stage_latency: Histogram
    confidence: Histogram
    batch_size: Histogram
    cache: Counter
    waiting: Gauge
    spool_depth: Gauge
    spool_stored: Counter
    model_version: Gauge
    scans_on: Gauge
    memory_bytes: Gauge
    memory_over_limit: Gauge
    memory_crossings: Counter
    memory_replacements: Counter
    swaps: Counter


@cache
def metrics() -> Metrics:
    """Return this process's metrics, made on first use."""
    return Metrics(
        requests=Counter("hub_requests_total", "Requests by path and status.", ("path", "status")),
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
        spool_depth=Gauge("hub_spool_depth", "Rows not in Postgres yet."),
        spool_stored=Counter("hub_spool_stored_total", "Rows stored from the spool.", ("kind",)),
        model_version=Gauge("hub_model_version", "1 for the version held.", ("version",)),
        scans_on=Gauge(
            "hub_pgvector_scans_on",
            "1 where filtered searches go through the index, 0 where they may compare every row.",
            ("postgres", "pgvector"),
        ),
        memory_bytes=Gauge("hub_memory_bytes", "Resident memory of a replica.", ("deployment",)),
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
