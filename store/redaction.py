"""The one seam through which a text passes before it is stored anywhere.

Log, spool, snapshot and shared cache keys all take what `redact` returns.
"""

import re
from typing import Final

_EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CARD: Final = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)")
_PHONE: Final = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?|\d{2,5}[ .-])\d{3,4}[ .-]?\d{3,4}(?!\w)"
)
_LONG_NUMBER: Final = re.compile(r"(?<![\w.])[A-Za-z]{0,2}\d{6,19}(?!\w)")

_PLACEHOLDERS: Final = (
    (_EMAIL, "[email]"),
    (_CARD, "[number]"),
    (_PHONE, "[phone]"),
    (_LONG_NUMBER, "[number]"),
)


def redact(text: str) -> str:
    """Replace e-mail addresses, phone numbers and numbers of six digits and more by placeholders.

    Years, course numbers, room numbers and amounts stay. Idempotent.
    """
    for pattern, placeholder in _PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text
