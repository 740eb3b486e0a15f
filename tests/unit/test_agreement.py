"""Agreement between reviewers, against numbers worked out by hand."""

from datetime import UTC, datetime

import pytest

from annotation.agreement import Agreement, cohen_kappa, measure_agreement
from contracts.records import Label


def label(item: str, reviewer: str, intent: str) -> Label:
    return Label(
        label_id=1,
        item_id=item,
        reviewer=reviewer,
        role="reviewer",
        intent=intent,
        labelled_at=datetime(2026, 1, 5, tzinfo=UTC),
        model_version="v3",
        model_intent="housing",
        model_confidence=0.5,
        source="real",
    )


def said(reviewer: str, intents: str) -> list[Label]:
    """One label an item: h for housing, d for dining, - for none."""
    names = {"h": "housing", "d": "dining", "l": "library"}
    return [
        label(f"item {place}", reviewer, names[letter])
        for place, letter in enumerate(intents)
        if letter != "-"
    ]


def pairs(*counts: tuple[str, str, int]) -> list[tuple[str, str]]:
    return [(first, second) for first, second, times in counts for _ in range(times)]


def test_kappa_of_the_textbook_table() -> None:
    # 50 grants: both yes 20, both no 15, 5 and 10 apart. Observed 0.7; by chance
    # 25/50 * 30/50 + 25/50 * 20/50 = 0.5; kappa = 0.2 / 0.5.
    table = pairs(("y", "y", 20), ("y", "n", 5), ("n", "y", 10), ("n", "n", 15))
    assert cohen_kappa(table) == pytest.approx(0.4)


def test_kappa_with_three_intents() -> None:
    # 10 items, 7 the same; first rater 4 a, 3 b, 3 c; second 3 a, 4 b, 3 c: by chance
    # (12 + 12 + 9) / 100 = 0.33; kappa = (0.7 - 0.33) / 0.67.
    table = pairs(
        ("a", "a", 3), ("a", "b", 1), ("b", "b", 2), ("b", "c", 1), ("c", "b", 1), ("c", "c", 2)
    )
    assert cohen_kappa(table) == pytest.approx(0.37 / 0.67)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([("a", "a"), ("b", "b")], 1.0),
        ([("a", "b"), ("b", "a")], -1.0),
        (pairs(("a", "a", 1), ("a", "b", 1), ("b", "a", 1), ("b", "b", 1)), 0.0),
    ],
)
def test_kappa_is_one_for_agreement_and_nothing_for_chance(
    table: list[tuple[str, str]], expected: float
) -> None:
    assert cohen_kappa(table) == pytest.approx(expected)


@pytest.mark.parametrize("table", [[], [("a", "a")], [("a", "a")] * 9])
def test_kappa_is_unknown_when_nobody_ever_said_anything_else(table: list[tuple[str, str]]) -> None:
    assert cohen_kappa(table) is None


def test_each_intent_is_measured_as_that_intent_or_not() -> None:
    # Housing: both 2, apart 2, neither 2. Observed 4/6; by chance (3*3 + 3*3)/36 = 1/2; kappa 1/3.
    # Dining: ana 3, ben 2, both 1... worked out below; library: ben alone.
    measured = {
        one.intent: one for one in measure_agreement(said("ana", "hhhddd") + said("ben", "hhdhdl"))
    }
    overall = measured[None]
    assert (overall.items, overall.share) == (6, pytest.approx(3 / 6))
    # All: by chance (3*3 + 3*2)/36 = 15/36; kappa = (18 - 15) / (36 - 15).
    assert overall.kappa == pytest.approx(3 / 21)
    assert measured["housing"] == Agreement("housing", 4, 2 / 4, pytest.approx(1 / 3))
    # Dining: both 1, ana alone 2, ben alone 1, neither 2: observed 3/6;
    # by chance (3*2 + 3*4)/36 = 1/2; kappa 0.
    assert measured["dining"] == Agreement("dining", 4, 1 / 4, pytest.approx(0))
    # Library: ben once, ana never: observed 5/6, by chance 6*5/36 = 5/6; kappa 0.
    assert measured["library"] == Agreement("library", 1, 0.0, pytest.approx(0))
    assert list(measured) == [None, "dining", "housing", "library"]


def test_kappas_of_several_pairs_are_averaged_by_their_items() -> None:
    # ana and ben share four items, kappa 0; cleo and dan two, kappa 1: (0*4 + 1*2) / 6.
    labels = (
        said("ana", "hhdd--")
        + said("ben", "hdhd--")
        + said("cleo", "----hd")
        + said("dan", "----hd")
    )
    overall = measure_agreement(labels)[0]
    assert (overall.items, overall.share) == (6, pytest.approx(4 / 6))
    assert overall.kappa == pytest.approx(2 / 6)


def test_three_people_on_one_item_are_three_pairs() -> None:
    labels = said("ana", "h") + said("ben", "h") + said("cleo", "d")
    assert measure_agreement(labels)[0].items == 3


def test_who_shares_no_item_with_anybody_does_not_count() -> None:
    assert measure_agreement(said("ana", "hh--") + said("ben", "--dd")) == []
    assert measure_agreement([]) == []
