"""The one seam through which a text passes before it is stored anywhere.

Log, spool, snapshot and shared cache keys all take what `redact` returns.
"""

# Training reads its queries through this older and smaller seam, and through nothing else: its code
# is part of the first version's recipe (training/first_version.py), so that changing it trains
# anew. What is asked and what is stored passes `store.personal_data.redact`, which takes out more.
import re
from typing import Final

_START: Final = r"(?<!\w)"
_END: Final = r"(?!\w)"

_EMAIL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
_GROUPED_NUMBER: Final = re.compile(
    rf"{_START}(?:"
    r"(?!20)[2-6]\d{3}(?:[ -]\d{4}){3}"  # bank cards
    r"|3\d{3}[ -]\d{6}[ -]\d{5}"
    r"|\d{3}[ -]\d{2}[ -]\d{4}"  # US social security
    rf"){_END}"
)
_PHONE: Final = re.compile(
    rf"{_START}(?:"
    r"\+\d(?:[ ./-]?\(?\d\)?){6,14}"  # international
    r"|(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]?\d{4}"  # North America
    r"|\(?0\d{2,4}\)?[ ./-]\d{3,4}[ .-]?\d{3,4}"  # area codes with a trunk zero
    r"|\(?0\d\)?[ -]\d{4}[ -]\d{4}"
    r"|0\d(?:[ .]\d\d){4}"  # groups of two, as in France
    rf"){_END}"
)
_LONG_NUMBER: Final = re.compile(
    # Amounts stay, and so do the fractions of decimal numbers.
    rf"{_START}(?<![$€£])(?<!\d[.,])[A-Za-z]{{0,2}}\d{{6,}}(?:[.,]\d+)*{_END}"
)

_PLACEHOLDERS: Final = (
    (_EMAIL, "[email]"),
    (_GROUPED_NUMBER, "[number]"),
    (_PHONE, "[phone]"),
    (_LONG_NUMBER, "[number]"),
)


def redact(text: str) -> str:
    """Replace e-mail addresses, phone numbers and numbers of six digits and more by placeholders.

    Years, dates, course numbers, room numbers and amounts stay. Idempotent.
    """
    before = None
    while text != before:  # what was taken out may have hidden its neighbour
        before = text
        for pattern, placeholder in _PLACEHOLDERS:
            text = pattern.sub(placeholder, text)
    return text
