"""Snippets: the passage of a text that shows why it matched, in plain text.

Done here and not by `ts_headline`, which parses the whole text again for each query: a text is cut
into sentences once, and a query then costs a few set intersections.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

SNIPPET_CHARS = 200
"""About how long a snippet is; it may be cut shorter, and never exceeds this by more than marks."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SENTENCE_END = re.compile(r"\n+|(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_NO_END = re.compile(r"(?:\b(?:[A-Za-z]|\d{1,2}|[ap]\.m|Dr|Mr|Mrs|Ms|St|No|e\.g|i\.e|vs|etc)\.)$")
_STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are as at be because been before being but by can
    could did do does doing down for from get got had has have having he her here him his how i
    if in into is it its just let like me more most my need no not now of off on once only or
    other our out over own please same she should so some such than that the their them then
    there these they this those through to too under until up very want was we were what when
    where which while who whom why will with would you your im ive dont cant u ur
    """.split()  # noqa: SIM905 - a list of quoted words is no easier to read
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    stems: frozenset[str]


@dataclass(frozen=True, slots=True)
class Passages:
    """A text cut into sentences: what `snippet` chooses from."""

    sentences: tuple[_Sentence, ...]

    @classmethod
    def of(cls, text: str) -> "Passages":
        """Cut a text. White space is collapsed; nothing else is changed."""
        return cls(tuple(_Sentence(s, stems(s)) for s in _sentences(text)))

    def snippet(self, asked: frozenset[str], *, chars: int = SNIPPET_CHARS) -> str:
        """Return the passage with most of the asked stems, or the beginning when there are none.

        Whole sentences where they fit; "…" stands where a sentence was cut.
        """
        if not self.sentences:
            return ""
        hits = [len(asked & sentence.stems) for sentence in self.sentences]
        # Of equal sentences the first: a text says first what it is about.
        best = max(range(len(hits)), key=lambda i: (hits[i], -i))
        first = last = best
        length = len(self.sentences[best].text)
        if length > chars:
            return _cut(self.sentences[best].text, asked, chars=chars)
        # Grow by the neighbour that says more of what was asked, onward rather than back.
        while True:
            after = last + 1 if last + 1 < len(hits) else None
            before = first - 1 if first > 0 else None
            room = chars - length - 1
            options = [
                i for i in (after, before) if i is not None and len(self.sentences[i].text) <= room
            ]
            if not options:
                break
            chosen = max(options, key=lambda i: (hits[i], i))
            first, last = min(first, chosen), max(last, chosen)
            length += len(self.sentences[chosen].text) + 1
        passage = " ".join(s.text for s in self.sentences[first : last + 1])
        if length < chars // 2 and last + 1 < len(hits):
            # Too short to say much, and the next sentence too long to fit: its beginning.
            return f"{passage} {_cut(self.sentences[last + 1].text, frozenset(), chars=room)}"
        return passage


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words, without the words that say nothing."""
    return frozenset(_stems(_WORD.findall(text)))


def _stems(words: Iterable[str]) -> Iterable[str]:
    for word in words:
        if (stem := _stem(word)) is not None:
            yield stem


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str | None:
    """Return a rough English stem: enough to see that "appeals" and "appealing" are one word."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    if word in _STOP_WORDS:
        return None
    for suffix in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "y", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)]
            break
    # "dropped" and "dropping" keep a doubled letter that "drop" has not.
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl" else word


def _sentences(text: str) -> Iterable[str]:
    start = ""
    for part in _SENTENCE_END.split(text):
        whole = " ".join(f"{start} {part}".split())
        if not whole:
            continue
        if _NO_END.search(whole):
            start = whole
            continue
        start = ""
        yield whole
    if start:
        yield start


def _cut(sentence: str, asked: frozenset[str], *, chars: int) -> str:
    """Return about `chars` characters of a long sentence, round the words that were asked for."""
    words = list(re.finditer(r"\S+", sentence))
    hit = [bool(stems(word.group()) & asked) for word in words]
    best, most = 0, -1
    # The window that begins at a word and holds most hits; the earliest of equals.
    for begin in range(len(words)):
        limit = words[begin].start() + chars
        held = sum(1 for i in range(begin, len(words)) if hit[i] and words[i].end() <= limit)
        if held > most:
            best, most = begin, held
    # A few words of what goes before make it readable.
    while (
        best > 0 and most > 0 and words[best].start() + chars // 4 > words[_first(hit, best)].end()
    ):
        best -= 1
    limit = words[best].start() + chars
    end = max((w.end() for w in words[best:] if w.end() <= limit), default=limit)
    cut = sentence[words[best].start() : end]
    return ("… " if best > 0 else "") + cut + (" …" if end < len(sentence) else "")


def _first(hit: list[bool], begin: int) -> int:
    return next((i for i in range(begin, len(hit)) if hit[i]), begin)
