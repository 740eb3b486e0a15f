"""The same question, typed otherwise."""

from random import Random

import pytest

from training.invariance import (
    CHECKS,
    Changed,
    check_invariance,
    with_fillers,
    with_other_case,
    with_typos,
)

TEXT = "where can i park my bicycle near the library"


def distance(one: str, other: str) -> int:
    """Edits between two words: letters put in, left out, or another, and two swapped."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        rows.append([i])
        for j, b in enumerate(other, start=1):
            rows[i].append(
                min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a != b))
            )
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def test_a_typo_is_one_slip_in_one_word_and_never_in_its_first_letter() -> None:
    for seed in range(200):
        before, after = TEXT.split(), with_typos(TEXT, drawn=Random(seed)).split()
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert len(changed) == 1
        assert all(distance(a, b) == 1 and a[0] == b[0] and len(a) >= 4 for a, b in changed)


def test_capitals_change_and_words_stay() -> None:
    for seed in range(20):
        changed = with_other_case(TEXT, drawn=Random(seed))
        assert changed != TEXT
        assert changed.casefold() == TEXT


def test_fillers_stand_around_the_question() -> None:
    seen = {with_fillers(TEXT, drawn=Random(seed)) for seed in range(100)}
    assert len(seen) > 20
    assert all(TEXT in text and text != TEXT for text in seen)


@pytest.mark.parametrize(
    "text", ["", "gpa", "👋🏽", "مرحبا", "2026", "a b c", "\u200b", "x" * 2000]
)
def test_any_text_can_be_asked_otherwise(text: str) -> None:
    for change in CHECKS.values():
        assert isinstance(change(text, drawn=Random(0)), str)


def test_texts_that_a_check_cannot_change_do_not_count() -> None:
    typos, case, fillers = check_invariance(
        ["gpa", "2026"], intents=["a", "b"], answer=lambda asked: ["a"] * len(asked)
    )
    assert (typos.queries, case.queries, fillers.queries) == (0, 1, 2)
    assert (typos.kept, case.kept, fillers.kept) == (0, 1, 1)


def test_what_changed_its_intent_is_named() -> None:
    def answer(asked: list[str]) -> list[str]:
        return ["shouting" if text.isupper() else "parking" for text in asked]

    texts = [f"where is parking lot {letter}" for letter in "abcdefghij"]
    _, case, fillers = check_invariance(texts, intents=["parking"] * 10, answer=answer)
    assert case.kept + len(case.changed) == case.queries == 10
    assert 0 < case.kept < 10
    for one in case.changed:
        assert one == Changed(one.text, one.text.upper(), "parking", "shouting")
    assert fillers.changed == ()


def test_a_query_is_asked_the_same_in_any_order_and_another_with_another_seed() -> None:
    asked: list[list[str]] = []

    def answer(texts: list[str]) -> list[str]:
        asked.append(texts)
        return ["a"] * len(texts)

    texts = [f"{TEXT} number {n}" for n in range(20)]
    for order, seed in ((texts, 0), (texts[::-1], 0), (texts, 1)):
        check_invariance(order, intents=["a"] * 20, answer=answer, seed=seed)
    first, backwards, otherwise = asked[:3], asked[3:6], asked[6:]
    assert [one[::-1] for one in backwards] == first
    assert otherwise[0] != first[0]
