"""The regression gate: what passes, what does not, and every reason why not."""

from dataclasses import replace

import pytest

from training.gate import Budget, Evidence, Judged, decide


def item(intent: str = "housing", *, champion: bool = True, candidate: bool = True) -> Judged:
    return Judged(
        text=f"a query on {intent}",
        intent=intent,
        champion=intent if champion else "dining",
        candidate=intent if candidate else "library",
    )


def spread(count: int, *, lost: int, intents: int = 1) -> list[Judged]:
    """`count` items over so many intents; the candidate loses the first `lost` of them in turn."""
    return [item(f"intent-{n % intents}", candidate=n >= lost) for n in range(count)]


GOOD = Evidence(
    previous_test=spread(100, lost=0),
    golden=[item() for _ in range(50)],
    ece=0.03,
    p95_ms=5.0,
    memory_bytes=200 * 1024 * 1024,
)


def test_a_candidate_that_loses_nothing_passes() -> None:
    assert decide(GOOD).passed
    assert decide(GOOD).reasons == ()


@pytest.mark.parametrize(
    ("count", "lost", "passes"),
    [
        (100, 2, True),
        (100, 3, False),
        (50, 1, True),
        (50, 2, False),
        (49, 0, True),
        (49, 1, False),  # 2.04 points
        (851, 17, True),
        (851, 18, False),
        (10_000, 200, True),
        (10_000, 201, False),
    ],
)
def test_two_points_are_counted_in_items_at_any_size(count: int, lost: int, passes: bool) -> None:
    items = spread(count, lost=lost, intents=max(1, count // 9))  # too few an intent to be judged
    decision = decide(replace(GOOD, previous_test=items))
    assert decision.passed is passes
    assert passes or decision.reasons[0].startswith("accuracy: ")


def test_what_is_won_elsewhere_makes_up_for_what_is_lost() -> None:
    items = spread(100, lost=5, intents=20) + [item("won", champion=False) for _ in range(5)]
    assert decide(replace(GOOD, previous_test=items)).passed


def test_an_intent_with_ten_items_may_lose_one_but_not_two() -> None:
    others = spread(900, lost=0, intents=30)
    for lost, passes in ((1, True), (2, False)):
        own = [item("parking", candidate=n >= lost) for n in range(10)]
        decision = decide(replace(GOOD, previous_test=others + own))
        assert decision.passed is passes
        assert passes or "intent parking: 8 of 10" in decision.reasons[0]


def test_an_intent_with_nine_items_is_not_judged_by_itself() -> None:
    own = [item("parking", candidate=n >= 8) for n in range(9)]
    assert decide(replace(GOOD, previous_test=spread(900, lost=0, intents=30) + own)).passed


def test_one_golden_query_that_changed_closes_the_gate_and_is_named() -> None:
    missed = Judged("lost my id", "campus_safety", "campus_safety", "it_support")
    decision = decide(replace(GOOD, golden=[*GOOD.golden[1:], missed]))
    assert decision.reasons == ('golden query "lost my id": it_support, must be campus_safety',)


def test_a_golden_query_that_the_champion_missed_must_hold_too() -> None:
    missed = [item(champion=False, candidate=False)]
    assert not decide(replace(GOOD, golden=missed)).passed


@pytest.mark.parametrize("ece", [0.0501, float("nan")])
def test_a_candidate_that_is_not_calibrated_is_stopped(ece: float) -> None:
    assert decide(replace(GOOD, ece=0.05)).passed
    assert decide(replace(GOOD, ece=ece)).reasons[0].startswith("calibration: ")


def test_latency_and_memory_have_a_budget() -> None:
    budget = Budget(p95_ms=10.0, memory_bytes=300 * 1024 * 1024)
    slow_and_large = replace(GOOD, p95_ms=10.1, memory_bytes=301 * 1024 * 1024)
    decision = decide(slow_and_large, budget=budget)
    assert [reason.split(":")[0] for reason in decision.reasons] == ["latency", "memory"]
    assert not decide(replace(GOOD, p95_ms=float("nan"))).passed


def test_nothing_measured_is_no_evidence() -> None:
    assert not decide(replace(GOOD, previous_test=[])).passed
    assert not decide(replace(GOOD, golden=[])).passed


def test_every_reason_is_given_at_once() -> None:
    bad = Evidence(spread(100, lost=50), [item(candidate=False)], 0.2, 1e3, 2**40)
    kinds = [reason.split(":")[0].split(" ")[0] for reason in decide(bad).reasons]
    assert kinds == ["accuracy", "intent", "golden", "calibration", "latency", "memory"]
