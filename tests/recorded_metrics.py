"""What this process counts and measures, kept for a test to look at; nothing reaches Ray."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.util.metrics import Counter, Metric

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass
class RecordedMetrics:
    """Each series' value: a counter's sum, a gauge's last, a histogram's last observation."""

    values: dict[Series, float] = field(default_factory=dict)

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return a series' value, or None when it was never told."""
        return self.values.get((name, frozenset(labels.items())))

    def record(self, metric: Any, value: float, tags: dict[str, str] | None = None) -> None:
        given = tags or {}
        assert given.keys() == set(metric._tag_keys), metric._name
        series = (metric._name, frozenset(given.items()))
        before = self.values.get(series, 0.0) if isinstance(metric, Counter) else 0.0
        self.values[series] = before + value


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> RecordedMetrics:
    """All that is counted and measured during a test."""
    kept = RecordedMetrics()
    monkeypatch.setattr(
        Metric, "_record", lambda metric, value, tags=None: kept.record(metric, value, tags)
    )
    return kept
