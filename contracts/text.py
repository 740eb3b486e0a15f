"""What makes two queries the same query."""

import hashlib
import re
import unicodedata

_SPACE = re.compile(r"\s+")
_FILLERS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0\ufe0e\ufe0f")
"""Letters and symbols by their Unicode category, and yet nothing is drawn."""


def normalise(text: str) -> str:
    """Return the form of a text by which caches, splits and duplicate checks compare it.

    Unicode NFKC, case folded, white space collapsed, ends trimmed. Idempotent.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", folded).strip()


def digest(text: str) -> str:
    """Return the SHA-256 of the normalised text, in hex: the same query, the same digest."""
    return hashlib.sha256(normalise(text).encode("utf-8", "surrogatepass")).hexdigest()


def is_blank(text: str) -> bool:
    """Say whether nothing can be seen: white space, control, format and filler characters only."""
    return all(
        ch.isspace() or ch in _FILLERS or unicodedata.category(ch) in {"Cc", "Cf"} for ch in text
    )
