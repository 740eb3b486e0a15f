"""Two versions on the same queries, item by item."""

from collections.abc import Sequence

from models.classifier import IntentClassifier
from training.examples import Example
from training.gate import Judged
from training.lineage import Retired


def compare_versions(
    examples: Sequence[Example],
    *,
    champion: IntentClassifier,
    candidate: IntentClassifier,
    retired: Retired,
    one_by_one: bool = False,
) -> list[Judged]:
    """Ask both versions every query, and return what each said, in the words of today's intents.

    In batches as the hub would send them under load; `one_by_one` as for a lone client. What the
    champion calls by a retired intent counts as its successor.
    """
    texts = [example.text for example in examples]
    size = 1 if one_by_one else max(1, len(texts))
    said = {}
    for name, classifier in (("champion", champion), ("candidate", candidate)):
        batches = (texts[start : start + size] for start in range(0, len(texts), size))
        said[name] = [one.intent for batch in batches for one in classifier.predict(batch)]
    return [
        Judged(
            text=example.text,
            intent=example.intent,
            champion=retired.get(before) or before,
            candidate=after,
        )
        for example, before, after in zip(
            examples, said["champion"], said["candidate"], strict=True
        )
    ]
