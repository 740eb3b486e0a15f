"""The label gate: more than 500, each question once, real ones, and enough that are new."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.records import VerifiedLabel
from contracts.text import digest
from training.label_gate import LabelDecision, decide_labels

INTENTS = ("housing", "dining", "library", "out_of_scope")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def label(
    number: int, *, intent: str = "housing", source: str = "real", text: str = ""
) -> VerifiedLabel:
    return VerifiedLabel(
        item_id=f"item-{number}",
        query_text=text or f"question number {number}",
        intent=intent,
        verified_at=NOON + timedelta(seconds=number),
        verified_by="agreement",
        source=source,
        model_version="v3",
        members=1 + number % 3,
    )


def decide(labels: list[VerifiedLabel], **options: object) -> LabelDecision:
    return decide_labels(labels, intents=INTENTS, needed=500, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "passes"), [(0, False), (500, False), (501, True), (900, True)])
def test_five_hundred_are_not_yet_enough_and_one_more_is(count: int, passes: bool) -> None:
    decision = decide([label(n) for n in range(count)])
    assert decision.passed is passes
    assert decision.reasons == (
        () if passes else (f"not yet: {count} of 501 verified labels", *decision.reasons[1:])
    )


def test_the_same_question_counts_once_with_its_last_label() -> None:
    labels = [label(n) for n in range(500)]
    again = label(900, intent="dining", text="  Question NUMBER 7 ")
    decision = decide([again, *labels])
    assert not decision.passed
    assert len(decision.counted) == 500
    assert decision.coverage["dining"] == 1


def test_simulated_labels_count_in_a_demo_hub_alone() -> None:
    labels = [label(n, source="simulated" if n % 2 else "real") for n in range(600)]
    decision = decide(labels)
    assert not decision.passed
    assert decision.reasons[0] == (
        "not yet: 300 of 501 verified labels (300 simulated ones do not count)"
    )
    assert decide(labels, is_demo=True).passed


def test_labels_that_the_champion_knows_are_no_reason_to_train_again() -> None:
    labels = [label(n) for n in range(700)]
    known = {digest(one.query_text) for one in labels[:601]}
    decision = decide(labels, used=known)
    assert (decision.passed, decision.new) == (False, 99)
    assert decision.reasons == ("not yet: 99 of 100 labels that the champion does not know",)
    assert decide(labels, used=known, least_new=99).passed


def test_labels_of_an_intent_that_is_gone_count_for_nothing_and_are_named() -> None:
    labels = [label(n) for n in range(500)] + [label(500 + n, intent="astrology") for n in range(9)]
    decision = decide(labels)
    assert not decision.passed
    assert "astrology (9)" in decision.reasons[-1]


def test_coverage_names_the_intents_without_any_label() -> None:
    decision = decide([label(n, intent=INTENTS[n % 2]) for n in range(502)])
    assert decision.coverage == {"housing": 251, "dining": 251, "library": 0, "out_of_scope": 0}
