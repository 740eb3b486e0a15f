"""The swap benchmark's judge: it sees each kind of broken promise."""

import dataclasses

from benchmarks.load import Answer, LoadReport
from benchmarks.swap_verdict import Measured, Swap, Verdict, judge

SAID = {"v3": {"a": ("housing", 0.9)}, "v4": {"a": ("dining", 0.9)}}
GOOD = Swap("v4", "", 1.0, 2.0, "", "v4")
REFUSED = Swap("v5", "NaN weights", 3.0, 4.0, "not numbers", "v4")


def answer(sent_s: float, version: str | None, intent: str | None, *, ms: float = 5.0) -> Answer:
    return Answer(sent_s, ms, "a", version, intent, 0.9 if intent else None)


FINE = (answer(0.0, "v3", "housing"), answer(1.5, "v4", "dining"), answer(5.0, "v4", "dining"))


def verdict(
    *answers: Answer,
    swaps: tuple[Swap, ...] = (GOOD, REFUSED),
    errors: dict[str, int] | None = None,
    after_bytes: int = 100,
) -> Verdict:
    slowest = max(one.latency_ms for one in answers)
    report = LoadReport(
        clients=4,
        mix="zipf",
        duration_s=6,
        answered=len(answers),
        degraded=0,
        asked=len(answers),
        requests_per_s=1,
        p50_ms=5,
        p95_ms=5,
        p99_ms=slowest,
        errors=errors or {},
        client_cpu_ms=0.1,
        answers=answers,
    )
    measured = Measured(
        replicas=1,
        report=report,
        swaps=swaps,
        before_bytes=100,
        after_bytes=after_bytes,
        controller_share=0.0,
        foreign_cores=0.0,
    )
    return judge(measured, said=SAID)


def test_what_was_promised_is_seen_to_be_kept() -> None:
    found = verdict(*FINE)
    assert found.missed == []
    assert (found.impostors, found.unclassified, found.during_swaps) == (0, 0, 1)


def test_an_answer_that_its_version_does_not_give_is_an_impostor() -> None:
    assert verdict(*FINE, answer(5.1, "v3", "dining")).impostors == 1


def test_an_answer_of_a_corrupt_version_is_an_impostor() -> None:
    assert verdict(*FINE, answer(5.1, "v5", "dining")).impostors == 1


def test_a_200_without_a_model_is_no_good_answer() -> None:
    found = verdict(*FINE, answer(5.1, None, None))
    assert found.unclassified == 1
    assert found.missed == ["(1 replica) a model answers: 1 times none did"]


def test_slow_answers_count_only_where_a_swap_was_under_way_or_all_are_slow() -> None:
    assert verdict(*FINE, answer(1.9, "v4", "dining", ms=300)).swaps_p99_ms == 300


def test_each_broken_promise_is_named() -> None:
    refused_good = dataclasses.replace(GOOD, said="lost a golden query", champion="v3")
    taken_corrupt = dataclasses.replace(REFUSED, said="", champion="v5")
    assert "lost a golden query" in verdict(*FINE, swaps=(refused_good, REFUSED)).missed[0]
    assert "NaN weights: champion" in verdict(*FINE, swaps=(GOOD, taken_corrupt)).missed[0]
    assert "503" in verdict(*FINE, errors={"503": 1}).missed[0]
    assert "by 6.0%" in verdict(*FINE, after_bytes=106).missed[0]
