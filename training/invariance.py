"""Does an intent stay when the same question is typed otherwise: with typos, capitals, fillers?

Every change is drawn from the query itself, so that a query is asked in the same other way in any
run, in any order, beside any others. Pure, but for the answers that it asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from contracts.text import normalise

_SHORTEST_WORD: Final = 4
"""Letters from which a word gets a typo: in shorter ones it is often another word."""

_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_OPENINGS: Final = (
    "hi, ", "hello, ", "hey, ", "um, ", "ok so ", "quick question: ", "sorry to bother you, but ",
    "good morning, ", "so basically ", "can anyone tell me, ",
)  # fmt: skip
_ENDINGS: Final = (
    "", " please", " thanks", ", thank you so much", " thx", " asap", ", any idea?", " lol",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changed:
    """A query whose intent was another one when it was asked otherwise."""

    text: str
    asked_as: str
    intent: str
    given: str


@dataclass(frozen=True, slots=True)
class Invariance:
    """What one check found: of the `queries` that it could change, which changed their intent."""

    check: str
    queries: int
    changed: tuple[Changed, ...]

    @property
    def kept(self) -> int:
        return self.queries - len(self.changed)


def with_typos(text: str, *, drawn: Random) -> str:
    """Return the text with one slip of the finger in one word.

    Two letters swapped, one left out, one doubled, or the one beside it on the keyboard; never the
    first. A text without a word of four letters stays as it is. One a query, as in Ribeiro et al.
    2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList".
    """
    words = text.split(" ")
    long = [n for n, word in enumerate(words) if len(word) >= _SHORTEST_WORD and word.isalpha()]
    if long:
        number = drawn.choice(long)
        words[number] = _slip(words[number], drawn=drawn)
    return " ".join(words)


def with_other_case(text: str, *, drawn: Random) -> str:
    """Return the text in capitals, with capitals at the start of words, or without any."""
    ways = [text.upper(), text.title(), text.lower()]
    others = [way for way in ways if way != text]
    return drawn.choice(others) if others else text


def with_fillers(text: str, *, drawn: Random) -> str:
    """Return the text with words around it that say nothing of what is asked."""
    return drawn.choice(_OPENINGS) + text + drawn.choice(_ENDINGS)


CHECKS: Final[dict[str, Callable[..., str]]] = {
    "typos": with_typos,
    "case": with_other_case,
    "fillers": with_fillers,
}


def check_invariance(
    texts: Sequence[str],
    *,
    intents: Sequence[str],
    answer: Callable[[list[str]], Sequence[str]],
    seed: int = 0,
) -> tuple[Invariance, ...]:
    """Ask every text in each other way, and say which got another intent than `intents` says.

    `answer` gives the intents of a list of texts. Texts that a check cannot change do not count.
    """
    found = []
    for check, change in CHECKS.items():
        asked = [
            (text, change(text, drawn=Random(f"{seed}:{check}:{normalise(text)}")), intent)
            for text, intent in zip(texts, intents, strict=True)
        ]
        asked = [one for one in asked if one[1] != one[0]]
        given = answer([asked_as for _, asked_as, _ in asked]) if asked else []
        changed = tuple(
            Changed(text, asked_as, intent, now)
            for (text, asked_as, intent), now in zip(asked, given, strict=True)
            if now != intent
        )
        found.append(Invariance(check, len(asked), changed))
    return tuple(found)


def _slip(word: str, *, drawn: Random) -> str:
    """Return the word with one slip, and never the same word."""
    place = drawn.randrange(1, len(word) - 1)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kinds = ["left out", "doubled"]
    if after[0] != letter:
        kinds.append("swapped")
    if beside := _beside(letter):
        kinds.append("beside")
    kind = drawn.choice(kinds)
    if kind == "left out":
        return before + after
    if kind == "doubled":
        return before + letter * 2 + after
    if kind == "swapped":
        return before + after[0] + letter + after[1:]
    return before + drawn.choice(beside) + after


def _beside(letter: str) -> str:
    """Return the letters left and right of this one on a keyboard."""
    for row in _KEYBOARD:
        if (place := row.find(letter)) >= 0:
            return row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    return ""
