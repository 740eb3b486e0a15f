"""All text there is, labelled or not: what a smaller model is taught with, and new texts of it."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from random import Random
from typing import Final

from contracts.records import KnowledgeNode
from contracts.text import digest
from store.redaction import redact

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_LEAST_CHARS: Final = 8
_MOST_CHARS: Final = 200


def sentences_of(nodes: Iterable[KnowledgeNode]) -> Iterator[str]:
    """Yield each node's title, its tags and the sentences of its body."""
    for node in nodes:
        yield node.title
        yield from node.tags
        for sentence in _SENTENCE_END.split(node.body):
            if len(sentence) >= _LEAST_CHARS:
                yield sentence[:_MOST_CHARS]


def teaching_texts(*sources: Iterable[str], judging: Collection[str]) -> list[str]:
    """Return the texts of all sources, redacted, each once, without what judges a model.

    `judging` are digests: of test sets and of the golden set. Nothing is learned of those, not
    even what the teacher thinks of them.
    """
    found: dict[str, str] = {}
    for source in sources:
        for text in source:
            clean = redact(text)
            if clean.strip() and (key := digest(clean)) not in judging:
                found.setdefault(key, clean)
    return list(found.values())


def varied(text: str, *, others: Sequence[str], random: Random) -> str:
    """Return a text that nobody wrote but somebody might have: the teacher says what it is.

    Spliced with another one, with words left out, put in from another, mistyped, or begun late
    (as in TinyBERT, Jiao et al. 2020, where a language model puts words in).
    """
    words = text.split()
    if not words:
        return text
    other = random.choice(others).split() or words
    chance = random.random()
    if len(words) > 3 and chance < 0.35:
        words = words[: random.randrange(1, len(words))] + other[random.randrange(len(other)) :]
    elif len(words) > 2 and chance < 0.55:
        words = [word for word in words if random.random() > 0.2] or words
    elif chance < 0.75:
        words = [random.choice(other) if random.random() < 0.25 else word for word in words]
    elif chance < 0.9:
        place = random.randrange(len(words))
        words[place] = _mistyped(words[place], random=random)
    else:
        words = words[random.randrange(len(words)) :]
    return " ".join(words)


def _mistyped(word: str, *, random: Random) -> str:
    """Leave a letter out, double one, or change two over; short words stay."""
    if len(word) < 4:
        return word
    at = random.randrange(len(word) - 1)
    return random.choice(
        [
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )
