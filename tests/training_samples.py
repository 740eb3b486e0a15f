"""A few real queries of three intents, to train on in a second or two."""

from training.config import TrainingConfig
from training.examples import QUERIES_FILE, Example, read_examples, read_labels

INTENTS = ("library", "dining", "parking_and_transport")

QUICK = TrainingConfig(epochs=3, batch=16, frozen_layers=5, threads=1, patience_epochs=3)
"""One layer and the head: the others are computed once."""


def few_queries(*, intents: tuple[str, ...] = INTENTS, each: int = 12) -> list[Example]:
    """Return the first `each` queries of every intent, in the file's order."""
    queries = read_examples(QUERIES_FILE, labels=read_labels())
    return [
        example
        for intent in intents
        for example in [query for query in queries if query.intent == intent][:each]
    ]


def few_checks(*, each: int = 4) -> list[Example]:
    """Return other queries of the same intents, to validate with."""
    trained_on = few_queries()
    return [query for query in few_queries(each=12 + each) if query not in trained_on]
