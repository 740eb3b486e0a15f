"""Recognises a query that speaks of danger to life, from a file of regular expressions.

The detector is deliberately apart from the intent classifier: it needs no model, gives the same
answer every time, and what it looks for can be read and corrected in one file by the people who
answer for it. It prefers a card shown once too often to a card not shown when it was needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import re2

from graph.checked_yaml import mapping_of, read_yaml, text_of, texts_of

_APOSTROPHES: Final = re.compile("['\u2018\u2019\u201a\u201b\u02bc\u2032\u00b4`\uff07]")
_LOOKING_AROUND: Final = re.compile(r"\(\?<?[=!]")
_WHITESPACE: Final = re.compile(r"\s+")

# What stands where an idiom was. It is neither a word nor a space, so that the words on its two
# sides do not come to read as one phrase that the student never wrote.
_REMOVED: Final = " | "


@dataclass(frozen=True)
class CrisisCard:
    """What is shown to somebody in danger, before and whatever else is answered."""

    title: str
    text: str
    phone: str
    url: str


class CrisisDetector:
    """Says whether a query speaks of a crisis, and hands out the card to show if it does.

    The object is immutable once made, holds no state between calls and may be shared between
    threads. Its expressions are compiled once, when it is made.
    """

    def __init__(self, card: CrisisCard, patterns: Iterable[str], idioms: Iterable[str]) -> None:
        """Compile the expressions; ``ValueError`` names the first that is not a valid one."""
        self._card = card
        patterns = tuple(patterns)
        self._patterns = tuple(_compiled(expression) for expression in patterns)
        self._idioms = tuple(_compiled(expression) for expression in idioms)
        self._sieve = _sieve(patterns)

    @classmethod
    def from_yaml(cls, path: Path | str) -> CrisisDetector:
        """Read the card, the patterns and the idioms from a YAML file.

        Raises ``OSError`` if the file cannot be read, and ``ValueError`` if it is not YAML, lacks
        a field, has no pattern at all, or holds an expression that does not compile or that
        matches empty text. A detector that comes back is therefore complete: a damaged file
        never yields one that silently matches nothing.
        """
        return read_yaml(path, cls._from_root)

    @classmethod
    def _from_root(cls, root: Mapping[object, object]) -> CrisisDetector:
        patterns = texts_of(root.get("patterns"), "patterns")
        if not patterns:
            raise ValueError("patterns: must not be empty")
        return cls(card_of(root), patterns, texts_of(root.get("idioms"), "idioms"))

    def match(self, text: str) -> CrisisCard | None:
        """Return the card if the text speaks of a crisis, and ``None`` if it does not.

        Letter case, the kind or absence of apostrophes, and the amount and kind of whitespace make
        no difference. Idioms ("this exam is killing me") are taken out before the patterns are
        tried, and nothing but the idiom is taken out: the rest of the same sentence still counts.
        Never raises for any text. The time taken grows linearly with the text as long as the
        expressions in the file do not nest unbounded repetition.
        """
        remaining = normalise(text)
        if not self._sieve.Match(_in_ascii(remaining)):
            return None
        for idiom in self._idioms:
            remaining = idiom.sub(_REMOVED, remaining)
        if any(pattern.search(remaining) for pattern in self._patterns):
            return self._card
        return None


def card_of(root: Mapping[object, object]) -> CrisisCard:
    """Return the card in the mapping of a crisis file; ``ValueError`` names what it lacks."""
    card = mapping_of(root.get("card"), "card")
    return CrisisCard(
        title=text_of(card.get("title"), "card.title"),
        text=text_of(card.get("text"), "card.text"),
        phone=text_of(card.get("phone"), "card.phone"),
        url=text_of(card.get("url"), "card.url"),
    )


def normalise(text: str) -> str:
    """Return the text as the expressions see it.

    Lower-case, with no apostrophes of any kind ("don't" becomes "dont"), every run of whitespace
    one space, and none at the ends.
    """
    return _WHITESPACE.sub(" ", _APOSTROPHES.sub("", text.lower())).strip()


def _sieve(expressions: Iterable[str]) -> re2.Set:
    """Compile one automaton that finds at least every text that one of the expressions finds.

    Nearly all queries are no crisis, and 180 expressions one after the other cost them more than
    the rest of the ingress does. RE2 tries all at once; what it cannot express (looking around) is
    left out of its copy, which then matches more, never less.
    """
    sieve = re2.Set.SearchSet()
    for expression in expressions:
        if not expression.isascii():
            raise ValueError(f"only ASCII can be looked for: {expression!r}")
        sieve.Add("(?i)" + _without_looking_around(expression))
    sieve.Compile()
    return sieve


def _without_looking_around(expression: str) -> str:
    """Cut every `(?=...)`, `(?!...)`, `(?<=...)` and `(?<!...)` out of an expression."""
    kept: list[str] = []
    position = 0
    while position < len(expression):
        if _LOOKING_AROUND.match(expression, position):
            position = _end_of_group(expression, position)
            continue
        width = 2 if expression[position] == "\\" else 1
        kept.append(expression[position : position + width])
        position += width
    return "".join(kept)


def _end_of_group(expression: str, start: int) -> int:
    depth, position, in_class = 0, start, False
    while position < len(expression):
        character = expression[position]
        if character == "\\":
            position += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        else:
            depth += (character == "(") - (character == ")")
        position += 1
        if depth == 0:
            return position
    raise ValueError(f"a group does not end: {expression!r}")


def _in_ascii(text: str) -> str:
    """Return the text with letters that RE2 does not count as word characters made ones."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else "x" if c.isalnum() else " " for c in text)


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"not a regular expression: {expression!r}: {error}") from error
    if compiled.search(""):
        raise ValueError(f"matches empty text: {expression!r}")
    return compiled
