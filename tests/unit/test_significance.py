"""What a comparison on one test set can tell, against numbers worked out by hand."""

import pytest

from training.gate import Judged
from training.significance import compare


def items(*, both: int = 0, lost: int = 0, won: int = 0, neither: int = 0) -> list[Judged]:
    right, wrong = "housing", "dining"
    return (
        [Judged("q", right, right, right)] * both
        + [Judged("q", right, right, wrong)] * lost
        + [Judged("q", right, wrong, right)] * won
        + [Judged("q", right, wrong, wrong)] * neither
    )


def test_mcnemar_counts_only_what_one_of_them_got_right() -> None:
    found = compare(items(both=80, lost=1, won=9, neither=10))
    assert (found.only_champion_right, found.only_candidate_right) == (1, 9)
    assert found.difference == pytest.approx(0.08)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)  # two-sided binomial by hand


def test_versions_that_agree_differ_by_nothing() -> None:
    found = compare(items(both=50, neither=50))
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_the_interval_holds_the_difference_and_is_the_same_twice() -> None:
    asked = items(both=700, lost=60, won=40, neither=53)
    found = compare(asked)
    assert found.low < found.difference < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 10 / 853, rel=0.05)
    assert found == compare(asked)


def test_a_small_set_says_that_it_cannot_tell_two_points() -> None:
    assert not compare(items(both=40, lost=5, won=5)).resolves_the_limit
    assert compare(items(both=9_000, lost=100, won=100)).resolves_the_limit


def test_no_items_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="no items"):
        compare([])
