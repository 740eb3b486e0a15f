"""The one seam through which a text passes before it is stored anywhere.

Log, spool, snapshot and shared cache keys all take what `redact` returns.
"""

import re
import unicodedata
from typing import Final

from store.personal_names import find_names
from store.personal_numbers import find_announced, find_emails, find_numbers

LEAST_DIGITS: Final = 6
"""No number with fewer is taken out, unless a word announces it."""

_DIGIT: Final = re.compile(r"\d")
_FOREIGN_DIGIT: Final = re.compile(r"(?![0-9])\d")
_INVISIBLE: Final = re.compile(r"(?<=[\x21-\x7e])[\u00ad\u200b-\u200d\u2060\ufeff]+(?=[\x21-\x7e])")
_PLAIN: Final = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\uff0d\ufe63", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t", " "),
        **{chr(0xFEE0 + ord(mark)): mark for mark in "@.+()/:#,_="},
        **{chr(0xFEE0 + code): chr(code) for code in (*range(65, 91), *range(97, 123))},
    }
)


def redact(text: str) -> str:
    """Replace what leads to one person by a typed placeholder.

    E-mail addresses become `[email]`, telephone numbers `[phone]`, student ids `[student id]`,
    bank cards `[card]`, passport numbers `[passport]`, all other numbers of six digits and more
    `[number]`, and names after "my name is" and its like `[name]`. Years, dates, courses, rooms,
    amounts, ISBNs and DOIs stay. Idempotent; a text without such things is returned as it is.
    """
    plain = text if text.isascii() else _plain(text)
    before = None
    found = plain
    while found != before:  # what was taken out may have hidden its neighbour
        before = found
        found = find_names(find_emails(found))
        digits = len(_DIGIT.findall(found))
        if digits:
            found = find_announced(found, digits=digits)
        if digits >= LEAST_DIGITS:
            found = find_numbers(found)
    return text if found == plain else found


def _plain(text: str) -> str:
    """Return the text with one kind of digit, dash and space, and nothing invisible in numbers."""
    text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return _INVISIBLE.sub("", text.translate(_PLAIN))
