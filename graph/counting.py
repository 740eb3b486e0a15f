"""What the ingress counts of every request; how it is at all, graph/vitals.py says."""

from typing import get_args

from contracts.messages import QueryAnswer
from contracts.outcome import Outcome
from deployments.metrics import begin_at_zero, metrics
from graph.problems import ProblemError

QUERY, FEEDBACK = "/v1/query", "/v1/feedback"
REASONS = (
    "quota",
    "overload",
    "log",
    "nothing-to-say",
    "in-progress",
    "request-id-reused",
    "unknown-interaction",
    "too-large",
    "invalid",
)
"""Every `kind` of the problems that a query or a thumb may end in."""
STAGES = ("classifier", "embedder", "retriever")


def begin_counting() -> None:
    """Show what this process counts as 0, before anything has happened."""
    begin_at_zero(metrics().requests, {"path": (QUERY,), "status": ("200", "429", "500", "503")})
    begin_at_zero(metrics().requests, {"path": (FEEDBACK,), "status": ("200", "202", "429", "503")})
    begin_at_zero(metrics().refused, {"reason": REASONS})
    begin_at_zero(metrics().outcomes, {"outcome": get_args(Outcome)})
    begin_at_zero(metrics().degraded, {"stage": STAGES})
    begin_at_zero(metrics().spool_stored, {"kind": ("interaction", "feedback")})
    begin_at_zero(metrics().spool_refused)
    begin_at_zero(metrics().database_wait, {"deployment": ("ingress",)})


def count_status(path: str, status: int) -> None:
    """Count one request that is over."""
    metrics().requests.inc(1, {"path": path, "status": str(status)})


def count_refusal(path: str, problem: ProblemError) -> None:
    """Count one request that ended in a problem, and why it did."""
    count_status(path, problem.status)
    metrics().refused.inc(1, {"reason": problem.kind})


def count_answer(answer: QueryAnswer) -> None:
    """Count what one query came to: its outcome, its confidence, how long it took, what it lacked.

    This is on every query's way: about 3 µs a number (docs/decisions/0031-what-ray-forgets.md).
    """
    metrics().outcomes.inc(1, {"outcome": answer.outcome})
    for stage, milliseconds in answer.timings_ms.items():
        metrics().stage_latency.observe(milliseconds, {"stage": stage})
    for stage in answer.degraded:
        metrics().degraded.inc(1, {"stage": stage})
    if answer.confidence is not None:
        metrics().confidence.observe(answer.confidence)


def count_batch(stage: str, queries: int) -> None:
    """Count one hop and the queries that shared it."""
    metrics().batch_size.observe(queries, {"stage": stage})
