"""What the load asks: the project's synthetic queries, each once, or some again and again."""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.settings import DATA

SYNTHETIC_QUERIES = DATA / "synthetic_queries.jsonl"

ZIPF_EXPONENT = 1.0
ZIPF_QUESTIONS = 2_000
"""Distinct questions of the repeated mix; the commonest is about an eighth of all."""

_SHUFFLE_SEED = 20_25

_OPENINGS = (
    *("", "hi", "hey", "hello", "ok so", "um", "please", "quick one", "so", "hey there"),
    *("hi all", "good morning", "sorry", "right", "yo", "ok", "well", "hi again", "evening"),
    *("one thing", "just asking", "help", "listen", "anyone"),
)
_CLOSINGS = (
    *("", "thanks", "please", "thx", "asap", "today", "this week", "pls", "cheers", "ty"),
    *("anyone know", "help", "thank you", "any idea", "by friday", "right now", "tonight"),
    *("for real", "soon", "if possible", "tomorrow", "this month", "again", "now"),
)
# The plain question comes first; then the pairs that add least come before those that add most.
_FRAMES = sorted(
    itertools.product(_OPENINGS, _CLOSINGS), key=lambda frame: len(frame[0]) + len(frame[1])
)


def read_questions(file: Path = SYNTHETIC_QUERIES) -> list[str]:
    """Return the texts of a JSON-lines file of queries, each once, in a fixed shuffled order.

    Raises FileNotFoundError when it is not there, KeyError when a line has no `text`.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    questions = list(dict.fromkeys(json.loads(line)["text"].strip() for line in lines))
    random.Random(_SHUFFLE_SEED).shuffle(questions)
    return questions


def unique_questions(questions: Sequence[str], *, first: int = 0) -> Iterator[str]:
    """Yield questions that never repeat: number `first`, the one after it, and so on.

    The first pass over `questions` gives them as they are; each later pass frames them with other
    small words. Two runs with ranges of numbers that do not overlap share no question. Ends after
    576 passes.
    """
    for number in itertools.count(first):
        times, position = divmod(number, len(questions))
        if times >= len(_FRAMES):
            return
        opening, closing = _FRAMES[times]
        yield " ".join(part for part in (opening, questions[position], closing) if part)


def repeated_questions(questions: Sequence[str], *, seed: int = 0) -> Iterator[str]:
    """Yield questions for ever, the n-th commonest with a frequency that falls as 1/n (Zipf)."""
    known = questions[:ZIPF_QUESTIONS]
    weights = list(
        itertools.accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, len(known) + 1))
    )
    draw = random.Random(seed)
    while True:
        yield from draw.choices(known, cum_weights=weights, k=256)
