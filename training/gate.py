"""The regression gate: may a candidate follow the champion? Pure: evidence in, a decision out.

Only what was measured on what would be served counts (the int8 artifact), and accuracies are
compared in items of the very same test set, never as two rounded shares.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_POINTS_LOST: Final = 2
"""Percentage points of accuracy, on the previous version's test set, that a candidate may lose."""

MOST_POINTS_LOST_BY_INTENT: Final = 10
FEW_ITEMS: Final = 10
"""With fewer test items an intent's own accuracy is not judged."""

MOST_ECE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """One query that both artifacts were asked: what it is, and what each said."""

    text: str
    intent: str
    champion: str
    candidate: str

    @property
    def champion_is_right(self) -> bool:
        return self.champion == self.intent

    @property
    def candidate_is_right(self) -> bool:
        return self.candidate == self.intent


@dataclass(frozen=True, slots=True)
class Budget:
    """What a version may cost on the machine that serves."""

    p95_ms: float = 25.0
    memory_bytes: int = 400 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of a candidate, and of the champion beside it.

    `previous_test` is the test set of the version before, `golden` the golden set; `ece`, `p95_ms`
    (one query at a time) and `memory_bytes` (resident, model loaded) are the candidate's own.
    """

    previous_test: Sequence[Judged]
    golden: Sequence[Judged]
    ece: float
    p95_ms: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a gate lets pass, and every reason why not."""

    passed: bool
    reasons: tuple[str, ...]


def decide(evidence: Evidence, *, budget: Budget | None = None) -> GateDecision:
    """Compare a candidate with the champion, and say every reason against it.

    Nothing measured is no evidence: an empty test set or golden set closes the gate, too.
    """
    budget = budget or Budget()
    reasons = [
        *_lost_accuracy(evidence.previous_test),
        *_lost_intents(evidence.previous_test),
        *_missed_golden(evidence.golden),
    ]
    # `not (a <= b)`: a figure that is no number (NaN) closes the gate as well.
    if not evidence.ece <= MOST_ECE:
        reasons.append(f"calibration: ECE {evidence.ece:.3f}, at most {MOST_ECE}")
    if not evidence.p95_ms <= budget.p95_ms:
        reasons.append(f"latency: p95 {evidence.p95_ms:.1f} ms, at most {budget.p95_ms:.1f} ms")
    if not evidence.memory_bytes <= budget.memory_bytes:
        reasons.append(
            f"memory: {evidence.memory_bytes / 2**20:.0f} MiB,"
            f" at most {budget.memory_bytes / 2**20:.0f} MiB"
        )
    return GateDecision(passed=not reasons, reasons=tuple(reasons))


def _lost_accuracy(items: Sequence[Judged]) -> list[str]:
    if not items:
        return ["accuracy: the previous version's test set is empty, nothing can be compared"]
    before, after = _right(items)
    # In items, so that 2.00 points are 2.00 points at any size of the set.
    if (before - after) * 100 <= MOST_POINTS_LOST * len(items):
        return []
    return [
        f"accuracy: {after} of {len(items)} right on the previous test set, the champion {before}:"
        f" {(before - after) / len(items):.2%} lost, at most {MOST_POINTS_LOST}.00 points"
    ]


def _lost_intents(items: Sequence[Judged]) -> list[str]:
    by_intent: dict[str, list[Judged]] = defaultdict(list)
    for item in items:
        by_intent[item.intent].append(item)
    reasons = []
    for intent, own in sorted(by_intent.items()):
        before, after = _right(own)
        if len(own) >= FEW_ITEMS and (before - after) * 100 > MOST_POINTS_LOST_BY_INTENT * len(own):
            reasons.append(
                f"intent {intent}: {after} of {len(own)} right, the champion {before};"
                f" at most {MOST_POINTS_LOST_BY_INTENT} points may be lost"
            )
    return reasons


def _missed_golden(golden: Sequence[Judged]) -> list[str]:
    if not golden:
        return ["golden set: it is empty, so nothing says that the basics hold"]
    return [
        f'golden query "{one.text}": {one.candidate}, must be {one.intent}'
        for one in golden
        if not one.candidate_is_right
    ]


def _right(items: Sequence[Judged]) -> tuple[int, int]:
    """Return how many the champion and the candidate got right."""
    return sum(i.champion_is_right for i in items), sum(i.candidate_is_right for i in items)
