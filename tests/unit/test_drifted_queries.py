"""Slips and poison as the learning loop makes them: as many as asked, and the same for a seed."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.drifted_queries import draw, poison_randomly, say, swap_intents
from training.examples import Example

INTENTS = ("housing", "dining", "library", "out_of_scope")
LABELS = [Example(f"query {number}", INTENTS[number % 4]) for number in range(400)]


def changed(labels: list[Example]) -> int:
    return sum(one.intent != before.intent for one, before in zip(labels, LABELS, strict=True))


def test_a_draw_has_no_query_twice_and_is_the_seeds_own() -> None:
    drawn = draw(LABELS, count=300, seed=1)
    assert len({one.text for one in drawn}) == 300
    assert drawn == draw(LABELS, count=300, seed=1)
    assert drawn != draw(LABELS, count=300, seed=2)


@pytest.mark.parametrize("suggested", [(), ("dining", "housing")])
def test_people_slip_as_often_as_told_and_never_into_what_is_right(
    suggested: tuple[str, ...],
) -> None:
    random = np.random.default_rng(0)
    said = Counter(
        say("dining", suggested=suggested, intents=INTENTS, error=0.05, random=random)
        for _ in range(4000)
    )
    assert said["dining"] / 4000 == pytest.approx(0.95, abs=0.015)
    slips = {intent: said[intent] for intent in INTENTS if intent != "dining"}
    assert min(slips.values()) > 0
    if suggested:
        assert slips["housing"] > slips["library"] + slips["out_of_scope"]


def test_poison_by_chance_touches_exactly_its_share() -> None:
    poisoned = poison_randomly(LABELS, share=0.3, intents=INTENTS, seed=3)
    # One in four of those drawn gets its own intent back.
    assert 70 <= changed(poisoned) <= 110
    assert changed(poison_randomly(LABELS, share=0.0, intents=INTENTS, seed=3)) == 0


def test_a_swap_is_its_own_inverse_and_leaves_the_others() -> None:
    swapped = swap_intents(LABELS, first="dining", second="library")
    assert changed(swapped) == 200
    assert {one.intent for one in swapped[0::4]} == {"housing"}
    assert swap_intents(swapped, first="library", second="dining") == LABELS
