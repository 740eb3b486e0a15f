"""The drifted world of data/drift, and what goes wrong when people label it: slips and poison."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from contracts.settings import DATA
from training.examples import Example, read_examples, read_labels

DRIFT: Final = DATA / "drift"
DriftSide = Literal["label", "held_out"]

SLIPS_TO_SUGGESTION: Final = 0.7
"""Of a person's errors, so many follow an intent that the screen suggested; others are any."""


def read_drift(side: DriftSide) -> list[Example]:
    """Return the queries to label, or those that nothing is ever trained on."""
    return read_examples(DRIFT / f"{side}.jsonl", labels=read_labels())


def draw(examples: Sequence[Example], *, count: int, seed: int) -> list[Example]:
    """Return so many of them by chance, each at most once, in the order drawn."""
    order = np.random.default_rng(seed).permutation(len(examples))
    return [examples[row] for row in order[:count]]


def say(
    meant: str,
    *,
    suggested: Sequence[str],
    intents: Sequence[str],
    error: float,
    random: np.random.Generator,
) -> str:
    """Return what a person says of a query that means `meant`: mostly that, sometimes a slip."""
    if random.random() >= error:
        return meant
    wrong = [intent for intent in suggested if intent != meant]
    if not wrong or random.random() >= SLIPS_TO_SUGGESTION:
        wrong = [intent for intent in intents if intent != meant]
    return str(random.choice(wrong))


def poison_randomly(
    examples: Sequence[Example], *, share: float, intents: Sequence[str], seed: int
) -> list[Example]:
    """Give exactly so large a share of the examples an intent by chance (now and then its own)."""
    random = np.random.default_rng(seed)
    chosen = set(random.permutation(len(examples))[: round(share * len(examples))].tolist())
    return [
        replace(example, intent=str(random.choice(list(intents)))) if row in chosen else example
        for row, example in enumerate(examples)
    ]


def swap_intents(examples: Sequence[Example], *, first: str, second: str) -> list[Example]:
    """Label what is `first` as `second`, and the other way round."""
    other = {first: second, second: first}
    return [replace(one, intent=other.get(one.intent, one.intent)) for one in examples]
