"""What is counted of requests: every reason has a name, and begins at 0."""

import re
from pathlib import Path

import yaml

from deployments.metrics import GAUGE_LASTS_S
from graph.counting import REASONS, begin_counting
from graph.vitals import SAY_EVERY_S
from scripts.cluster import SERVE_CONFIG
from tests.recorded_metrics import RecordedMetrics

ELSEWHERE = {"models", "http", "internal"}
"""Problems of other calls than a query and a thumb."""


def test_every_problem_of_a_query_or_a_thumb_has_its_reason() -> None:
    graph = Path(__file__).parents[2] / "graph"
    kinds = {
        kind
        for file in graph.glob("*.py")
        for kind in re.findall(r'kind="([\w-]+)"', file.read_text())
    }
    assert kinds == ELSEWHERE | set(REASONS)


def test_what_never_happened_is_shown_as_zero(recorded: RecordedMetrics) -> None:
    begin_counting()
    assert set(recorded.values.values()) == {0}
    assert recorded("hub_outcomes_total", outcome="rephrase") == 0
    assert recorded("hub_refused_total", reason="overload") == 0
    assert recorded("hub_degraded_total", stage="embedder") == 0
    assert recorded("hub_requests_total", path="/v1/query", status="503") == 0
    assert recorded("hub_spool_refused_total") == 0


def test_gauges_are_told_again_before_they_are_forgotten() -> None:
    assert 2 * SAY_EVERY_S < GAUGE_LASTS_S
    (application,) = yaml.safe_load(SERVE_CONFIG.read_text())["applications"]
    for deployment in application["deployments"]:  # replicas tell theirs when they are checked
        assert 2 * deployment["health_check_period_s"] < GAUGE_LASTS_S
