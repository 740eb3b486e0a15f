"""Poisoned sets of drifted labels are stopped, honest ones pass: over seeds and over every pair of
intents. The seeds are none of those by which the gate's limits were chosen. Run by `make prove`."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from benchmarks.drifted_queries import draw, poison_randomly, read_drift, say, swap_intents
from contracts.records import Vectors
from models.encoder import Encoder
from training.examples import QUERIES_FILE, Example, read_examples, read_labels
from training.label_consistency import ConsistencyDecision, check_consistency
from training.split import hashed_side

pytestmark = pytest.mark.prove

LABELS = 600
HONEST_SEEDS = range(20)
NOISE_SEEDS = range(100, 110)
SWAP_SEEDS = (200, 201)
NIGHT, NIGHT_SEEDS = 100, range(600, 620)
"""A nightly batch: as few new labels as a retraining takes."""

TAKEOVER_SEEDS = (300,)
HUMAN_ERROR = 0.05

Check = Callable[[list[Example]], ConsistencyDecision]


@pytest.fixture(scope="module")
def check(encoder: Encoder, training_vectors: Vectors) -> Check:
    """The gate, with what v3 was trained on as the earlier queries."""
    queries = read_examples(QUERIES_FILE, labels=read_labels())
    drifted = read_drift("label")
    vectors = dict(zip((one.text for one in queries), training_vectors, strict=True))
    texts = [one.text for one in drifted]
    vectors |= dict(zip(texts, encoder.encode(texts), strict=True))
    earlier = [one for one in queries if hashed_side(one.text) == "train"]

    def encode(texts: list[str]) -> Vectors:
        return np.stack([vectors[text] for text in texts])

    return lambda labels: check_consistency(labels, earlier=earlier, encode=encode)


def with_slips(labels: list[Example], *, seed: int) -> list[Example]:
    """Labels of people who err in five of a hundred, in favour of any intent."""
    random, intents = np.random.default_rng(seed), read_labels()
    return [
        replace(
            one,
            intent=say(one.intent, suggested=(), intents=intents, error=HUMAN_ERROR, random=random),
        )
        for one in labels
    ]


def test_honest_labels_of_a_drifted_world_pass(check: Check) -> None:
    shares = []
    for seed in HONEST_SEEDS:
        drawn = draw(read_drift("label"), count=LABELS, seed=seed)
        for labels in (drawn, with_slips(drawn, seed=seed)):
            decision = check(labels)
            assert decision.reasons == (), f"seed {seed}"
            shares.append(decision.noise_share)
    print(f"{len(shares)} honest sets: at most {max(shares):.1%} seems noise; no false alarm")


def test_labels_of_which_thirty_in_a_hundred_are_by_chance_are_stopped(check: Check) -> None:
    shares = []
    for seed in NOISE_SEEDS:
        drawn = draw(read_drift("label"), count=LABELS, seed=seed)
        decision = check(poison_randomly(drawn, share=0.3, intents=read_labels(), seed=seed))
        assert not decision.passed, f"seed {seed}"
        assert decision.reasons[0].startswith("noise: ")
        shares.append(decision.noise_share)
    print(f"{len(shares)} poisoned sets: {min(shares):.1%} to {max(shares):.1%} seems noise")


@pytest.mark.parametrize("seed", SWAP_SEEDS)
def test_any_two_intents_that_are_swapped_are_stopped_and_named(check: Check, seed: int) -> None:
    honest = with_slips(draw(read_drift("label"), count=LABELS, seed=seed), seed=seed)
    also_named = 0
    for first, second in combinations(read_labels(), 2):
        decision = check(swap_intents(honest, first=first, second=second))
        named = [
            reason
            for reason in decision.reasons
            if reason.startswith((f"swap: {first} and {second} ", f"swap: {second} and {first} "))
        ]
        assert len(named) == 1, (first, second, decision.reasons)
        also_named += len(decision.reasons) - 1
    print(f"231 swaps stopped; {also_named} other reasons beside the right ones")


def test_a_night_of_few_labels_passes_when_honest_and_seldom_when_not(check: Check) -> None:
    stopped, swaps, noisy = 0, 0, 0
    pairs = list(combinations(read_labels(), 2))
    for number, seed in enumerate(NIGHT_SEEDS):
        honest = with_slips(draw(read_drift("label"), count=NIGHT, seed=seed), seed=seed)
        assert check(honest).reasons == (), f"seed {seed}"
        poisoned = poison_randomly(honest, share=0.3, intents=read_labels(), seed=seed)
        noisy += not check(poisoned).passed
        for first, second in pairs[number % 20 :: 40]:
            swaps += 1
            stopped += not check(swap_intents(honest, first=first, second=second)).passed
    print(
        f"{len(NIGHT_SEEDS)} nights of {NIGHT} labels: {noisy} stopped with noise,"
        f" {stopped} of {swaps} swaps"
    )
    assert noisy >= 0.8 * len(NIGHT_SEEDS)
    assert stopped >= 0.5 * swaps


@pytest.mark.parametrize("seed", TAKEOVER_SEEDS)
def test_most_intents_labelled_as_another_throughout_are_stopped(check: Check, seed: int) -> None:
    honest = with_slips(draw(read_drift("label"), count=LABELS, seed=seed), seed=seed)
    intents = read_labels()
    stopped = 0
    for number, taken in enumerate(intents):
        by = intents[(number + 7) % len(intents)]
        labels = [replace(one, intent=by) if one.intent == taken else one for one in honest]
        stopped += not check(labels).passed
    print(f"{stopped} of {len(intents)} takeovers stopped")
    assert stopped >= 0.6 * len(intents)


def test_a_second_look_at_the_suspects_finds_most_slips(check: Check) -> None:
    found, slips, shown, of = 0, 0, 0, 0
    for seed in range(400, 405):
        honest = draw(read_drift("label"), count=LABELS, seed=seed)
        labels = with_slips(honest, seed=seed)
        wrong = {a.text for a, b in zip(labels, honest, strict=True) if a.intent != b.intent}
        suspects = {one.text for one in check(labels).suspects}
        found, slips = found + len(suspects & wrong), slips + len(wrong)
        shown, of = shown + len(suspects), of + len(labels)
    print(
        f"{shown / of:.1%} of the labels are suspects; they hold {found / slips:.0%} of the slips"
    )
    assert found >= 0.5 * slips
    assert shown <= 0.2 * of
