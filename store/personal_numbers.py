"""Numbers and addresses that lead to one person, told from years, dates, courses and amounts.

Expects the text as `store.redaction` plains it: ASCII digits, one kind of dash and of space.
Every quantifier is bounded, so time grows with the text's length and with nothing else.
"""

import re
from typing import Final

from stdnum import iban, isbn, luhn

_START: Final = r"(?<!\w)"
_END: Final = r"(?!\w)"
_FLAGS: Final = re.IGNORECASE

# ---- e-mail ---------------------------------------------------------------------------------

_LOCAL: Final = r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}"
_TLD: Final = (
    r"(?:com|edu|org|net|gov|info|io|co|me|example|ac|uk|ca|de|fr|in|eu|au|jp|cn|nz|ie|es|it|nl"
    r"|br|mx)"
)
_MAILBOX: Final = (
    r"(?:gmail|googlemail|yahoo|hotmail|outlook|icloud|proton|protonmail|aol|gmx|live|msn|qq|mail)"
)
_DOT: Final = r"(?: ?[\[({<] ?(?:dot|\.) ?[\])}>] ?| dot |\.)"

_EMAIL: Final = re.compile(rf"{_LOCAL}@(?:[\w-]{{1,63}}\.){{1,8}}[\w-]{{2,63}}")
# jane @ gmail . com
_WIDE: Final = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}} ?@ ?(?:[\w-]{{1,63}} ?\. ?){{1,4}}{_TLD}{_END}", _FLAGS
)
# jane (at) uni (dot) edu, jane[at]uni.edu
_IN_BRACKETS: Final = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}} ?[\[({{<] ?(?:at|@) ?[\])}}>] ?"
    rf"[\w-]{{1,63}}(?:{_DOT}[\w-]{{2,63}}){{1,4}}",
    _FLAGS,
)
# jane dot doe at uni dot edu, jane@uni dot edu
_IN_WORDS: Final = re.compile(
    rf"(?<![\w.+-])(?:[\w+-]{{1,64}} dot ){{0,3}}[\w.+-]{{1,64}}(?: at | ?@ ?)"
    rf"(?:[\w-]{{1,63}}(?: dot | ?\. ?)){{0,3}}[\w-]{{1,63}} dot {_TLD}{_END}",
    _FLAGS,
)
# jane.doe at uni.edu, jane at gmail.com; but not "apply at commonapp.org"
_HALF_IN_WORDS: Final = re.compile(
    rf"(?<![\w.+-])(?:[a-z]+[\d._+][\w.+-]{{0,60}} at (?:[\w-]{{1,63}}\.){{1,4}}{_TLD}"
    rf"|[\w.+-]{{1,64}} at {_MAILBOX}\.{_TLD}){_END}",
    _FLAGS,
)


def find_emails(text: str) -> str:
    """Replace e-mail addresses, also such as are spelled out with "at" and "dot"."""
    if "@" in text:
        text = _WIDE.sub("[email]", _EMAIL.sub("[email]", text))
    lowered = text.lower()
    if "at" in lowered or "@" in lowered:
        if " dot " in lowered:
            text = _IN_WORDS.sub("[email]", text)
        if any(
            sign in lowered for sign in ("at)", "at]", "at}", "at>", "at )", "at ]", "@)", "@]")
        ):
            text = _IN_BRACKETS.sub("[email]", text)
        if " at " in lowered and "." in lowered:
            text = _HALF_IN_WORDS.sub("[email]", text)
    return text


# ---- numbers that a word announces ----------------------------------------------------------

_FILLER: Final = (
    r"(?:[\s:=#,.'\"-]|\b(?:numbers?|no|num|nr|is|was|it|its|s|code|card|which|are|me|at|on|back)\b)"
    r"{0,12}"
)
_OTHER_IDS: Final = """
    course class section crn form error ticket job order room event device product case meeting
    zoom item book bus building app program cart request
"""
_NOT_A_PERSONS_ID: Final = frozenset(_OTHER_IDS.split())
_PASSPORT: Final = re.compile(
    rf"(?P<cue>{_START}passports?{_FILLER})"
    rf"(?P<value>{_START}(?:[a-z]{{0,3}}[ -]?\d(?:[ .-]?\d){{5,10}}(?![ .-]?\d)"
    rf"|(?=(?:[a-z]{{0,9}}\d){{3}})[a-z0-9]{{7,10}}){_END})",
    _FLAGS,
)
_STUDENT_ID: Final = re.compile(
    rf"(?P<cue>{_START}(?:(?P<before>\w{{1,20}})[ -])?"
    r"(?:id|identification|identity|student|matric\w{0,10}|ridge ?card|ridge ?id|a-?number|"
    rf"enrol?lment|roll|registration|reg)\b{_FILLER})"
    rf"(?P<value>(?<![\w$€£])[a-z]{{0,3}}[ -]?\d(?:[ .-]?\d){{4,11}}(?![ .-]?\d){_END})",
    _FLAGS,
)
_A_NUMBER: Final = re.compile(
    # This university's: A and eight digits. "a 2024-2025 catalog" is none.
    rf"{_START}a(?:[ .#-]?\d{{8}}|[ -]?(?!(?:19|20)\d\d[ -](?:19|20)\d\d)\d{{4}}[ .-]\d{{4}}"
    rf"|[ -]?\d\d(?:[ .-]\d\d){{3}}|[ -]?\d\d[ .-]\d{{3}}[ .-]\d{{3}}){_END}",
    _FLAGS,
)
_USERNAME: Final = re.compile(
    rf"(?P<cue>{_START}(?:ridge[ -]?id|net[ -]?id|user ?name|user id|login)(?: ?[:=] ?| is |'s ))"
    rf"(?P<value>(?=[a-z._-]{{1,20}}\d)[a-z][\w.-]{{2,24}}{_END})",
    _FLAGS,
)
_ANNOUNCED_PHONE: Final = re.compile(
    rf"(?P<cue>{_START}(?:phone|cell|mobile|tel|telephone|whatsapp|call|text|ring|reach|fax)\b"
    rf"{_FILLER})(?P<value>(?<![\w$€£])\+?\(?\d(?:[ ()./-]{{0,2}}\d){{6,14}}{_END})",
    _FLAGS,
)


def _student_id(found: re.Match[str]) -> str:
    if (found["before"] or "").lower() in _NOT_A_PERSONS_ID:
        return found[0]
    return found["cue"] + "[student id]"


def find_announced(text: str, *, digits: int) -> str:
    """Replace passport numbers, student ids, login names and telephone numbers after such words.

    `digits` says how many the text has: with few, most need not be looked for.
    """
    lowered = text.lower()
    if "passport" in lowered:
        text = _PASSPORT.sub(r"\g<cue>[passport]", text)
    if any(word in lowered for word in ("idge", "net", "user", "login")):
        text = _USERNAME.sub(r"\g<cue>[student id]", text)
    if digits >= 5:
        text = _A_NUMBER.sub("[student id]", text)
        text = _STUDENT_ID.sub(_student_id, text)
    return _ANNOUNCED_PHONE.sub(r"\g<cue>[phone]", text) if digits >= 7 else text


# ---- numbers by themselves ------------------------------------------------------------------

_YEAR: Final = r"(?:19|20)\d\d"
_KEPT: Final = re.compile(
    rf"(?P<article>{_START}10\.\d{{4,9}}/[\w.()/:;-]{{1,80}})"
    rf"|(?P<book>(?<![\w+])97[89](?:[ -]?\d){{10}}{_END}"
    rf"|(?<=isbn)[ :#-]{{0,3}}\d(?:[ -]?\d){{8}}[ -]?[\dx]{_END})",
    _FLAGS,
)
_ACCOUNT: Final = re.compile(
    rf"{_START}[a-z]{{2}}\d\d(?: ?[a-z0-9]{{4}}){{2,7}}(?: ?[a-z0-9]{{1,4}})?{_END}", _FLAGS
)
_NUMBER: Final = re.compile(
    # A bank card's groups, right or with a slip; four years are none.
    rf"(?P<card>{_START}(?!{_YEAR}(?:[ .-]{_YEAR}){{3}})\d{{4}}(?:[ .-]\d{{4}}){{3}}"
    rf"(?:[ .-]\d{{1,3}})?{_END}|{_START}3\d{{3}}[ .-]\d{{6}}[ .-]\d{{4,5}}{_END})"
    rf"|(?P<phone>{_START}(?:"
    r"\+\d(?:[ ./-]?\(?\d\)?){6,14}"  # international
    r"|00[1-9]\d?(?:[ ./-]?\(?\d\)?){7,12}"
    r"|(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]?\d{4}"  # North America
    r"|\(?0\d{2,4}\)?[ ./-]\d{3,4}[ .-]?\d{3,4}"  # area codes with a trunk zero
    r"|\(?0\d\)?[ -]\d{4}[ -]\d{4}"
    r"|0\d(?:[ .-]\d\d){4}"  # groups of two, as in France
    rf"){_END}"
    r"|(?<![\w$€£.,/-])(?<!room )(?<!section )(?<!class )(?<!course )[2-9]\d\d[-.]\d{4}(?![\w/-]))"
    rf"|(?P<social>{_START}\d{{3}}[ -]\d\d[ -]\d{{4}}{_END})"
    rf"|(?P<spread>{_START}(?<!\d[ .-])\d(?:[ .-]\d){{6,18}}(?![ .-]?\w))"
    # Amounts stay, and so do the fractions of decimal numbers.
    rf"|(?P<long>{_START}(?<![$€£])(?<!\d[.,])[a-z]{{0,2}}\d{{6,}}(?:[.,]\d+)*{_END}"
    r"(?! ?(?:dollars?|usd|euros?|eur|pounds?|gbp)\b))",
    _FLAGS,
)


def find_numbers(text: str) -> str:
    """Replace card, telephone, account and other numbers of six digits and more.

    The numbers of books (ISBN) and articles (DOI) stay: a library is asked for them.
    """
    text = _ACCOUNT.sub(lambda m: "[number]" if iban.is_valid(m[0]) else m[0], text)
    parts: list[str] = []
    rest_at = 0
    for kept in _KEPT.finditer(text):
        if kept.lastgroup == "article" or isbn.is_valid(kept[0].strip(" :#-")):
            parts += (_NUMBER.sub(_placeholder, text[rest_at : kept.start()]), kept[0])
            rest_at = kept.end()
    return "".join([*parts, _NUMBER.sub(_placeholder, text[rest_at:])])


def _placeholder(found: re.Match[str]) -> str:
    if found.lastgroup in ("card", "phone"):
        return f"[{found.lastgroup}]"
    digits = "".join(c for c in found[0] if c.isdigit())
    return "[card]" if 13 <= len(digits) <= 19 and luhn.is_valid(digits) else "[number]"
