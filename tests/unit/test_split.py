"""Splits never leak."""

from collections.abc import Mapping

import numpy as np
import pytest

from contracts.errors import DataError
from contracts.records import Vectors
from contracts.text import digest
from training.examples import Example
from training.split import Encode, Side, Split, hashed_side, read_assignment, split

LABELS = ("library", "dining", "out_of_scope")


def lone(texts: list[str]) -> Vectors:
    """Vectors of which no two are alike."""
    return np.eye(len(texts), dtype=np.float32)


def alike(*groups: tuple[str, ...]) -> Encode:
    """Vectors of which the texts of a group are the same and all others different."""

    def encode(texts: list[str]) -> Vectors:
        vectors = lone(texts)
        for group in groups:
            rows = [texts.index(text) for text in group if text in texts]
            vectors[rows] = vectors[rows[0]]
        return vectors

    return encode


def chained(*texts_in_order: str) -> Encode:
    """Vectors of which only neighbours in the given chain are near-duplicates (cosine 0.96)."""

    def encode(texts: list[str]) -> Vectors:
        vectors = np.eye(len(texts), len(texts) + 2, dtype=np.float32)
        angle = np.arccos(0.96)
        for place, text in enumerate(texts_in_order):
            if text in texts:
                row = np.zeros(len(texts) + 2, dtype=np.float32)
                row[-2:] = np.cos(place * angle), np.sin(place * angle)
                vectors[texts.index(text)] = row
        return vectors

    return encode


def text_on(side: Side, *, not_in: tuple[str, ...] = ()) -> str:
    """A text whose hash puts it on a side."""
    return next(
        text
        for number in range(1_000)
        if hashed_side(text := f"query {'abcdefghij'[number % 10]} {number}") == side
        and text not in not_in
    )


def make(*texts: str, encode: Encode = lone, earlier: Mapping[str, Side] | None = None) -> Split:
    examples = [Example(text, "library") for text in texts]
    return split(examples, labels=LABELS, encode=encode, earlier=earlier)


def side_of(parts: Split, text: str) -> Side | None:
    return parts.assignment.get(digest(text))


def test_about_a_tenth_goes_to_validation_and_a_tenth_to_test() -> None:
    sides = [hashed_side(f"query number {number}") for number in range(5_000)]
    assert 0.085 < sides.count("validation") / 5_000 < 0.115
    assert 0.085 < sides.count("test") / 5_000 < 0.115


def test_a_text_keeps_its_side_in_any_order_and_company() -> None:
    texts = [f"query number {number}" for number in range(200)]
    whole, part = make(*texts), make(*reversed(texts[50:]))
    assert all(side_of(part, text) == side_of(whole, text) for text in texts[50:])


def test_case_and_white_space_do_not_make_another_text() -> None:
    parts = make("Where is the  Library", "where is the library ")
    assert sum(parts.counts.values()) == 1


def test_the_same_text_with_two_intents_is_an_error() -> None:
    examples = [Example("opening hours", "library"), Example("Opening hours", "dining")]
    with pytest.raises(DataError, match="both library and dining"):
        split(examples, labels=LABELS, encode=lone)


def test_texts_pass_the_redaction_seam_before_anything_else() -> None:
    parts = make("mail me at ada@example.edu", "mail me at bob@example.edu")
    (kept,) = parts.train + parts.validation + parts.test
    assert kept.text == "mail me at [email]"


def test_a_near_duplicate_joins_the_side_of_the_earlier_one() -> None:
    first, second = text_on("test"), text_on("train")
    parts = make(first, second, encode=alike((first, second)))
    assert side_of(parts, second) == side_of(parts, first) == "test"


def test_near_duplicates_of_near_duplicates_stay_together() -> None:
    first, second = text_on("validation"), text_on("train")
    third = text_on("test")
    parts = make(first, second, third, encode=chained(first, second, third))
    assert {side_of(parts, text) for text in (first, second, third)} == {"validation"}


def test_what_an_earlier_version_assigned_stays() -> None:
    text, other = text_on("train"), text_on("test")
    parts = make(text, other, earlier={digest(text): "test"})
    assert side_of(parts, text) == "test"


def test_a_new_near_duplicate_joins_the_side_that_an_earlier_version_chose() -> None:
    old, new = text_on("train"), text_on("validation")
    parts = make(new, old, encode=alike((old, new)), earlier={digest(old): "test"})
    assert side_of(parts, new) == "test"


def test_a_near_duplicate_of_both_sides_is_left_out() -> None:
    one, two, between = "first", "last", "between"
    earlier: dict[str, Side] = {digest(one): "train", digest(two): "test"}
    parts = make(one, two, between, encode=chained(one, between, two), earlier=earlier)
    assert [example.text for example in parts.left_out] == [between]
    assert (side_of(parts, one), side_of(parts, two)) == ("train", "test")
    assert side_of(parts, between) is None


def test_an_assignment_outlives_the_examples_that_it_was_made_for() -> None:
    gone = text_on("test")
    parts = make("here", earlier={digest(gone): "test"})
    assert side_of(parts, gone) == "test"


def test_intents_that_a_side_lacks_are_named() -> None:
    parts = make(text_on("train"))
    assert parts.missing["train"] == ("dining", "out_of_scope")
    assert parts.missing["test"] == ("dining", "library", "out_of_scope")


def test_the_artifact_brings_the_assignment_back() -> None:
    parts = make(*(f"query number {number}" for number in range(50)))
    artifact = parts.artifact()
    assert read_assignment(artifact) == parts.assignment
    assert artifact["counts"] == parts.counts
    with pytest.raises(DataError, match="sides are"):
        read_assignment({"assignment": {"abc": "elsewhere"}})


def test_what_is_near_a_query_that_judges_any_version_is_never_trained_on() -> None:
    judge, near = text_on("train"), text_on("train", not_in=(text_on("train"),))
    parts = split(
        [Example(near, "dining")],
        labels=LABELS,
        encode=alike((judge, near)),
        judging=[judge],
    )
    assert [e.text for e in parts.test] == [near]
    assert digest(judge) not in parts.assignment


def test_a_query_that_judges_and_is_an_example_stays_on_the_test_side() -> None:
    judge = text_on("train")
    parts = split([Example(judge, "dining")], labels=LABELS, encode=lone, judging=[judge])
    assert [e.text for e in parts.test] == [judge]
