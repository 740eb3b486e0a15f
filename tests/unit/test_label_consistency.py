"""The label-consistency gate on a small world: what passes, what is stopped, and what it says."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from benchmarks.drifted_queries import poison_randomly, say, swap_intents
from contracts.records import Vectors
from contracts.text import digest
from training.examples import Example
from training.label_consistency import ConsistencyDecision, check_consistency

INTENTS = tuple(f"intent {letter}" for letter in "abcdefghijkl")
DIMS = 48
EARLIER, NEW = 60, 20

Encode = Callable[[list[str]], Vectors]


class World:
    """Each intent has a direction; since the drift its queries share a new one, too."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        known = random.normal(size=(len(INTENTS), DIMS))
        drifted = known + 0.7 * random.normal(size=(len(INTENTS), DIMS))
        self._vectors: dict[str, Vectors] = {}
        self.earlier = self._draw("earlier", known, EARLIER, random)
        self.labels = self._draw("new", drifted, NEW, random)

    def _draw(
        self, name: str, centres: np.ndarray, count: int, random: np.random.Generator
    ) -> list[Example]:
        made = []
        for intent, centre in zip(INTENTS, centres, strict=True):
            for number in range(count):
                vector = centre + 0.9 * random.normal(size=DIMS)
                example = Example(f"{name} query {number} of {intent}", intent)
                self._vectors[example.text] = (vector / np.linalg.norm(vector)).astype(np.float32)
                made.append(example)
        return made

    def encode(self, texts: list[str]) -> Vectors:
        return np.stack([self._vectors[text] for text in texts])

    def check(self, labels: list[Example]) -> ConsistencyDecision:
        return check_consistency(labels, earlier=self.earlier, encode=self.encode)


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=0)


@pytest.fixture(scope="module", params=range(3))
def any_world(request: pytest.FixtureRequest) -> World:
    return World(seed=request.param)


def test_drifted_labels_pass(any_world: World) -> None:
    decision = any_world.check(any_world.labels)
    assert decision.reasons == ()
    assert decision.passed
    assert decision.judged == len(INTENTS) * NEW
    assert decision.noise_share < 0.05


def test_labels_of_people_who_slip_now_and_then_pass(any_world: World) -> None:
    random = np.random.default_rng(1)
    labels = [
        replace(
            one, intent=say(one.intent, suggested=(), intents=INTENTS, error=0.05, random=random)
        )
        for one in any_world.labels
    ]
    assert labels != any_world.labels
    assert any_world.check(labels).passed


def test_labels_by_chance_are_stopped_with_the_share_of_them(any_world: World) -> None:
    poisoned = poison_randomly(any_world.labels, share=0.3, intents=INTENTS, seed=2)
    decision = any_world.check(poisoned)
    assert not decision.passed
    assert decision.reasons[0].startswith("noise: about ")
    assert 0.2 < decision.noise_share < 0.4


def test_any_two_intents_that_are_swapped_are_stopped_and_named(world: World) -> None:
    for first, second in list(combinations(INTENTS, 2))[::6]:
        decision = world.check(swap_intents(world.labels, first=first, second=second))
        assert [first in reason and second in reason for reason in decision.reasons] == [True]
        assert decision.reasons[0].startswith("swap: ")


def test_the_suspects_of_a_swap_are_the_swapped(world: World) -> None:
    first, second = INTENTS[2], INTENTS[7]
    swapped = swap_intents(world.labels, first=first, second=second)
    suspects = world.check(swapped).suspects
    touched = {one.text for one in swapped if one.intent in (first, second)}
    assert len({one.text for one in suspects} & touched) > len(touched) / 2
    assert {one.text for one in suspects[:10]} <= touched


def test_an_intent_that_is_labelled_as_another_throughout_is_stopped(world: World) -> None:
    labels = [
        replace(one, intent=INTENTS[4]) if one.intent == INTENTS[1] else one for one in world.labels
    ]
    (reason,) = world.check(labels).reasons
    assert reason.startswith("takeover: ")
    assert INTENTS[1] in reason
    assert INTENTS[4] in reason


def test_a_reviewer_is_shown_the_wrong_labels_first_and_what_fits_better(world: World) -> None:
    wrong = {7: INTENTS[9], 130: INTENTS[0]}
    labels = [
        replace(one, intent=wrong.get(row, one.intent)) for row, one in enumerate(world.labels)
    ]
    decision = world.check(labels)
    assert decision.passed
    first, second = decision.suspects[:2]
    assert {first.text, second.text} == {world.labels[row].text for row in wrong}
    assert {first.likelier, second.likelier} == {world.labels[row].intent for row in wrong}
    assert {first.given, second.given} == set(wrong.values())
    assert first.margin >= second.margin > 0
    assert (decision.confusions[0].count, decision.confusions[0].given) >= (1, "")


def test_the_artifact_is_json_and_holds_no_query(world: World) -> None:
    decision = world.check(poison_randomly(world.labels, share=0.3, intents=INTENTS, seed=3))
    text = json.dumps(decision.artifact())
    assert decision.suspects[0].text not in text
    assert digest(decision.suspects[0].text) in text
    assert json.loads(text)["reasons"] == list(decision.reasons)


def test_an_intent_that_the_champion_never_knew_is_no_poison(world: World) -> None:
    earlier = [one for one in world.earlier if one.intent != INTENTS[3]]
    decision = check_consistency(world.labels, earlier=earlier, encode=world.encode)
    assert decision.passed


def test_the_same_labels_in_another_order_get_the_same_answer(world: World) -> None:
    poisoned = poison_randomly(world.labels, share=0.3, intents=INTENTS, seed=4)
    again = world.check(poisoned[::-1])
    assert again.reasons == world.check(poisoned).reasons


def test_labels_that_the_champion_learned_do_not_hide_new_ones(world: World) -> None:
    """Poison comes a night at a time, among many labels that were verified before."""
    old = [one for row, one in enumerate(world.labels) if row % NEW >= 6]
    tonight = [one for row, one in enumerate(world.labels) if row % NEW < 6]
    swapped = swap_intents(tonight, first=INTENTS[2], second=INTENTS[7])
    learned, chosen_by = old[::2], old[1::2]
    decision = check_consistency(
        old + swapped, earlier=world.earlier + learned, known=chosen_by, encode=world.encode
    )
    assert decision.judged == len(tonight)
    assert decision.reasons[0].startswith(f"swap: {INTENTS[2]} and {INTENTS[7]} look swapped")
    assert check_consistency(
        old + tonight, earlier=world.earlier + learned, known=chosen_by, encode=world.encode
    ).passed


def test_labels_that_are_all_known_are_no_reason_to_stop(world: World) -> None:
    decision = check_consistency(
        world.labels, earlier=world.earlier, known=world.labels, encode=world.encode
    )
    assert (decision.passed, decision.judged) == (True, 0)


def test_a_known_query_with_another_intent_than_before_is_judged(world: World) -> None:
    relabelled = [replace(world.labels[0], intent=INTENTS[5]), *world.labels[1:]]
    decision = check_consistency(
        relabelled, earlier=world.earlier, known=world.labels, encode=world.encode
    )
    assert decision.judged == 1
    assert decision.suspects[0].likelier == world.labels[0].intent


@pytest.mark.parametrize("seed", range(5))
def test_a_few_honest_labels_pass(world: World, seed: int) -> None:
    drawn = np.random.default_rng(seed).permutation(len(world.labels))[:40]
    assert world.check([world.labels[row] for row in drawn]).passed


def test_nothing_to_compare_closes_the_gate(world: World) -> None:
    none = check_consistency([], earlier=world.earlier, encode=world.encode)
    assert (none.passed, none.judged) == (False, 0)
    assert none.reasons == ("consistency: no new labels to compare",)
    alone = check_consistency(world.labels, earlier=[], encode=world.encode)
    assert alone.reasons == ("consistency: no earlier queries of two intents to compare",)
