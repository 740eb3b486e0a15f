"""The review queue: what a reviewer is asked, and in which order."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from annotation.questions import Candidate, lot
from annotation.queue import QueueItem, rank
from contracts.outcome import ANSWER_FROM

DIMS = 64
START = datetime(2026, 9, 1, tzinfo=UTC)


def direction(number: int, *, cosine: float = 1.0, towards: int | None = None) -> np.ndarray:
    """The unit vector along one axis, or one that has that cosine to it and leans to another."""
    vector = np.zeros(DIMS, dtype=np.float32)
    vector[number] = cosine
    if towards is not None:
        vector[towards] = math.sqrt(1 - cosine**2)
    return vector


def candidate(number: int, **changes: Any) -> Candidate:
    """A doubtful question of its own, unlike all others, asked by a session of its own."""
    given: dict[str, Any] = {
        "interaction_id": f"i{number:05d}",
        "asked_at": START + timedelta(seconds=number),
        "session_id": f"session {number}",
        "text": f"question {number}",
        "confidence": 0.5,
        "intent": "housing",
        "vector": direction(number % DIMS),
    }
    return Candidate(**given | changes)


def ids(items: list[QueueItem]) -> list[str]:
    return [item.interaction_id for item in items]


def test_nothing_asked_is_nothing_to_review() -> None:
    assert rank([], limit=10, seed=0) == []
    assert rank([], limit=10, seed=0, known=np.eye(3, dtype=np.float32)) == []
    assert rank([candidate(1)], limit=0, seed=0) == []


def test_doubtful_answers_are_taken_and_confident_ones_are_not() -> None:
    items = rank(
        [
            candidate(1, confidence=ANSWER_FROM - 0.001),
            candidate(2, confidence=ANSWER_FROM),
            candidate(3, confidence=0.99),
        ],
        limit=10,
        seed=0,
        audit_share=0.0,
    )
    assert ids(items) == ["i00001"]
    assert items[0].reason == "doubtful"


def test_the_less_sure_the_hub_was_the_sooner_it_is_asked() -> None:
    items = rank([candidate(n, confidence=n / 10) for n in (4, 1, 5, 3)], limit=3, seed=0)
    assert ids(items) == ["i00001", "i00003", "i00004"]
    assert items[0].priority > items[1].priority > items[2].priority


def test_what_many_sessions_ask_comes_before_what_one_asks() -> None:
    often = [candidate(n, text="where do i park", vector=direction(1)) for n in range(1, 8)]
    items = rank([candidate(50, confidence=0.4), *often], limit=2, seed=0)
    assert [item.sessions for item in items] == [7, 1]
    assert len(items[0].members) == 7


def test_a_session_that_repeats_itself_counts_once() -> None:
    again = [candidate(n, text="where do i park", session_id="one") for n in range(30)]
    (item,) = rank(again, limit=5, seed=0)
    assert item.sessions == 1
    assert len(item.members) == 30
    assert item.priority == rank(again[:1], limit=1, seed=0)[0].priority


def test_one_session_cannot_fill_the_queue_with_variants() -> None:
    def variants(session: str | None) -> list[Candidate]:
        near = [direction(0, cosine=0.8, towards=n) for n in range(1, 41)]
        return [
            candidate(n, vector=vector, **({"session_id": session} if session else {}))
            for n, vector in enumerate(near)
        ]

    by_many = rank(variants(None), limit=1, seed=0)[0].priority
    by_one = rank(variants("one"), limit=1, seed=0)[0].priority
    assert by_many == pytest.approx(0.5 * math.log2(1 + 1), rel=0.01)
    assert by_one < by_many


def test_near_duplicates_are_one_item_and_all_its_members_are_named() -> None:
    items = rank(
        [
            candidate(1, vector=direction(0)),
            candidate(2, vector=direction(0, cosine=0.95, towards=1)),
            candidate(3, vector=direction(0, cosine=0.8, towards=2)),
        ],
        limit=10,
        seed=0,
    )
    assert {frozenset(item.members) for item in items} == {
        frozenset({"i00001", "i00002"}),
        frozenset({"i00003"}),
    }


def test_the_text_most_asked_stands_for_its_near_duplicates() -> None:
    asked = [
        candidate(1, text="gym hours", vector=direction(0)),
        candidate(2, text="gym hours?", vector=direction(0, cosine=0.95, towards=1)),
        candidate(3, text="gym hours?", vector=direction(0, cosine=0.95, towards=1)),
    ]
    (item,) = rank(asked, limit=5, seed=0)
    assert item.text == "gym hours?"
    assert item.members[0] == item.interaction_id == "i00003"


def test_of_texts_asked_equally_often_the_most_central_stands_for_them() -> None:
    asked = [candidate(n, vector=direction(0, cosine=0.96, towards=n)) for n in (1, 2, 3)]
    (item,) = rank([*asked, candidate(4, vector=direction(0))], limit=5, seed=0)
    assert item.interaction_id == "i00004"


def test_the_same_words_in_another_writing_are_the_same_text() -> None:
    (item,) = rank(
        [
            candidate(1, text="Where do I  park", vector=None),
            candidate(2, text="where do i park ", vector=None),
        ],
        limit=5,
        seed=0,
    )
    assert item.members == ("i00002", "i00001")


def test_something_unlike_comes_before_more_of_the_same() -> None:
    items = rank(
        [
            candidate(1, confidence=0.10, vector=direction(0)),
            candidate(2, confidence=0.12, vector=direction(0, cosine=0.6, towards=1)),
            candidate(3, confidence=0.30, vector=direction(5)),
        ],
        limit=3,
        seed=0,
    )
    assert ids(items) == ["i00001", "i00003", "i00002"]


def test_what_is_like_an_item_that_exists_comes_later() -> None:
    asked = [candidate(1, confidence=0.1), candidate(2, confidence=0.3)]
    known = direction(1, cosine=0.85, towards=9)[None]
    assert ids(rank(asked, limit=2, seed=0)) == ["i00001", "i00002"]
    assert ids(rank(asked, limit=2, seed=0, known=known)) == ["i00002", "i00001"]


def test_a_thumb_down_brings_a_confident_answer_into_the_queue() -> None:
    items = rank(
        [candidate(1, confidence=0.97, feedback_score=-1), candidate(2, confidence=0.97)],
        limit=5,
        seed=0,
        audit_share=0.0,
    )
    assert ids(items) == ["i00001"]
    assert items[0].reason == "thumbs_down"


def test_one_thumb_a_session_and_text_counts_and_it_is_the_last() -> None:
    def asked(*scores: int, session: str | None = None) -> list[Candidate]:
        return [
            candidate(
                n,
                text="gym hours",
                confidence=0.9,
                feedback_score=score,
                **({"session_id": session} if session else {}),
            )
            for n, score in enumerate(scores)
        ]

    def of(candidates: list[Candidate]) -> list[QueueItem]:
        return rank(candidates, limit=1, seed=0, audit_share=0.0)

    assert of(asked(-1, 1, session="one")) == []
    many, once = of(asked(-1, -1, -1, session="one"))[0], of(asked(-1, session="one"))[0]
    assert many.priority == once.priority
    assert of(asked(-1, -1, -1))[0].priority > once.priority


def test_thumbs_up_weigh_against_thumbs_down() -> None:
    def priority(*scores: int) -> float:
        asked = [
            candidate(n, text="gym hours", confidence=0.9, feedback_score=score)
            for n, score in enumerate(scores)
        ]
        return rank(asked, limit=1, seed=0)[0].priority

    assert priority(-1, 1, 1) < priority(-1, -1, 1) < priority(-1, -1, -1)


def test_a_query_that_no_classifier_answered_is_barely_doubtful() -> None:
    items = rank(
        [
            candidate(1, confidence=None, intent=None),
            candidate(2, confidence=0.3),
            candidate(3, confidence=0.59, feedback_score=1),
        ],
        limit=5,
        seed=0,
    )
    assert ids(items)[0] == "i00002"
    assert {item.reason for item in items} == {"doubtful"}


@pytest.mark.parametrize("confidence", [math.nan, math.inf, -0.1, 1.7])
def test_a_confidence_that_is_no_probability_counts_as_none(confidence: float) -> None:
    strange = rank([candidate(1, confidence=confidence)], limit=5, seed=0)
    assert strange == rank([candidate(1, confidence=None)], limit=5, seed=0)


@pytest.mark.parametrize(
    "vector",
    [None, np.full(DIMS, np.nan, np.float32), np.zeros(DIMS, np.float32)],
    ids=["none", "nan", "zero"],
)
def test_a_text_without_a_vector_is_an_item_of_its_own_among_the_others(
    vector: np.ndarray | None,
) -> None:
    asked = [candidate(n, confidence=n / 100) for n in range(30)]
    asked += [candidate(40, vector=vector), candidate(41, vector=vector)]
    known = np.stack([direction(2), direction(3)])
    items = rank(asked, limit=50, seed=0, known=known)
    assert sorted(ids(items)) == sorted(one.interaction_id for one in asked)
    assert all(math.isfinite(item.priority) and item.priority >= 0 for item in items)


def test_texts_that_are_all_alike_are_one_item() -> None:
    asked = [candidate(n, vector=direction(0)) for n in range(3000)]
    (item,) = rank(asked, limit=500, seed=0)
    assert len(item.members) == len(set(item.members)) == item.sessions == 3000


def test_blank_texts_are_no_questions() -> None:
    assert rank([candidate(1, text=" \u200b\n")], limit=5, seed=0) == []


def test_an_interaction_given_twice_is_one() -> None:
    (item,) = rank([candidate(1), candidate(1)], limit=5, seed=0)
    assert item.members == ("i00001",)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_only_the_direction_of_a_vector_matters(scale: float) -> None:
    asked = [candidate(n, vector=direction(n) * scale) for n in range(9)]
    assert rank(asked, limit=9, seed=0) == rank([candidate(n) for n in range(9)], limit=9, seed=0)


def test_what_cannot_be_is_refused_with_its_numbers() -> None:
    with pytest.raises(ValueError, match="limit is -1"):
        rank([], limit=-1, seed=0)
    with pytest.raises(ValueError, match=r"audit_share 1\.5"):
        rank([], limit=1, seed=0, audit_share=1.5)
    with pytest.raises(ValueError, match="one width"):
        rank([candidate(1), candidate(2, vector=np.ones(3, np.float32))], limit=1, seed=0)
    with pytest.raises(ValueError, match="are 64 wide"):
        rank([candidate(1)], limit=1, seed=0, known=np.ones((2, 3), np.float32))


def many(*, seed: int = 1) -> list[Candidate]:
    """Two thousand questions about fifty matters, two in three answered with confidence."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(50, DIMS))
    found = []
    for number in range(2000):
        vector = (centres[random.integers(50)] + random.normal(size=DIMS) / 2).astype(np.float32)
        confidence = 0.9 if number % 3 else float(random.uniform(0.1, 0.6))
        found.append(candidate(number, vector=vector, confidence=confidence))
    return found


def test_a_seed_gives_the_same_queue_whatever_the_order_of_the_candidates() -> None:
    asked = many()
    first = rank(asked, limit=100, seed=7)
    assert first == rank(asked, limit=100, seed=7)
    assert ids(first) == ids(rank(asked[::-1], limit=100, seed=7))
    assert first != rank(asked, limit=100, seed=8)


def test_the_priority_never_rises_along_the_queue_and_no_interaction_is_in_two_items() -> None:
    items = rank(many(), limit=500, seed=0)
    priorities = [item.priority for item in items]
    assert priorities == sorted(priorities, reverse=True)
    members = [name for item in items for name in item.members]
    assert len(members) == len(set(members))


def test_every_twentieth_place_is_an_audit_of_a_confident_answer() -> None:
    items = rank(many(), limit=100, seed=0)
    assert [place for place, item in enumerate(items, 1) if item.reason == "audit"] == [
        20,
        40,
        60,
        80,
        100,
    ]


def test_the_audit_sample_has_the_asked_share_and_stays_the_same_as_more_is_asked() -> None:
    confident = [candidate(n, confidence=0.9, vector=None, text=f"text {n}") for n in range(4000)]

    def drawn(candidates: list[Candidate]) -> set[str]:
        return set(ids(rank(candidates, limit=4000, seed=3, audit_share=0.1)))

    early, late = drawn(confident[:2000]), drawn(confident)
    assert 320 < len(late) < 480
    assert early == {name for name in late if name < "i02000"}
    assert rank(confident, limit=10, seed=3, audit_share=0.0) == []
    assert len(rank(confident, limit=4000, seed=3, audit_share=1.0)) == 4000


def test_a_lot_is_spread_evenly_and_follows_the_seed() -> None:
    lots = [lot(f"i{n}", seed=0) for n in range(2000)]
    assert np.histogram(lots, bins=4, range=(0, 1))[0] == pytest.approx(500, abs=80)
    assert lot("i1", seed=0) != lot("i1", seed=1)
