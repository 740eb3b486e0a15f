"""The name of a person after "my name is", told from "my name is spelled wrong".

Only words that announce a name are looked for: a list of all names would never be complete, and
would take out of a question what was none ("is Grace Hall open"). In a text of mixed case a name
is capitalised words; in one without, it is what follows and is no word of the lists below.
"""

import re
from typing import Final

_SAID_OF_NAMES: Final = """
    spelled spelt misspelled misspelt written printed wrong incorrect incorrectly wrongly
    correct correctly misprinted mispronounced pronounced missing listed shown showing shows
    appearing different changed changing legally legal preferred official still always never
    not now only just also too very really so quite already currently no longer long short
    hyphenated accented blank empty invalid unknown unavailable on in at under with without
    off out over up by for to of as like than about before after because if when while since
    until that which who what where why how whether there here everywhere nowhere anywhere the
    a an this these those my your his her their its our and or but nor yet is are was were be
    been being am has have had do does did can could will would shall should may might must
    going gonna supposed hard difficult easy confusing mixed swapped switched reversed
    backwards capitalized capitalised lowercase uppercase truncated cut shortened abbreviated
    outdated old new same similar common unusual foreign chinese korean arabic english spanish
    used taken registered linked attached associated connected mentioned included excluded
    removed deleted added updated verified read called announced said known important private
    public hidden visible due good fine okay ok one two three first second last middle full
    maiden name names nickname surname mine none back later tomorrow today tonight soon again
    anytime asap maybe bye everyone everybody all nothing something anything unclear illegible
    reading coming displayed displaying rejected refused accepted matching mismatched required
    needed asked given chosen set stuck locked
"""
_AFTER_NAMES: Final = """
    i im i'm ive i'd id i'll we you he she it they me us him them student freshman sophomore
    junior senior grad graduate undergrad transfer major majoring minor international parent
    mother father from need want wanted wondering wonder trying try looking hoping asking ask
    help please thanks thank hello hi hey morning afternoon evening dear sir madam university
    college campus school department class course year semester term studying study enrolled
    live living work working writing calling speaking applying applied graduated graduating
    taking lost forgot got get cant can't cannot dont don't didnt didn't havent haven't wasnt
    wasn't isnt isn't issue problem question emergency announcement spam mail email message
    feedback money info information news nonsense ridiculous urgent bullshit crap great bad
    sad awful stupid annoying unfair insane crazy funny weird
"""
_CAPITALISED: Final = """
    american african asian european native latino latina hispanic catholic christian muslim
    jewish hindu buddhist computer science engineering biology business english state hall
    library center centre office registrar fafsa daca monday tuesday wednesday thursday friday
    saturday sunday january february march april may june july august september october
    november december
"""
_NEVER_NAMES: Final = frozenset(f"{_SAID_OF_NAMES} {_AFTER_NAMES} {_CAPITALISED}".split())
_ENDINGS: Final = ("ed", "ing", "ly", "able", "n't")
_NAMES_WITH_ENDINGS: Final = """
    ahmed mohamed mohammed muhammed hamed saeed sayed syed waleed rasheed majeed javed naveed
    khaled jared alfred wilfred winifred mildred fred ned ted reed reid emily kelly sally lily
    billy holly molly shelly beverly kimberly carly ally nelly polly milly willy lilly reilly
    ming jing xing ling ying qing ping bing ting ding king sterling irving daly
"""
_SURE_NAMES: Final = frozenset(_NAMES_WITH_ENDINGS.split())
_PARTICLE_WORDS: Final = (
    "de da di do dos das del della la le van von der den ter bin bint ibn al el st st."
)
_PARTICLES: Final = frozenset(_PARTICLE_WORDS.split())
_TITLES: Final = frozenset(("dr.", "mr.", "mrs.", "ms.", "prof.", "dr", "mr", "mrs", "ms", "prof"))
_WORD: Final = re.compile(r"[^\W\d_][^\W\d_'’.-]{0,30}(?:['’.-][^\W\d_]{1,30}){0,3}\.?")
_SPACE: Final = re.compile(r"[ \t]{1,3}")

_CUE_FORMS: Final = (
    # What follows is a name unless the lists say that it is none. A "~" is white space.
    r"(?P<is>(?<!\w)(?:"
    r"(?:sur)?names?(?:~(?:is|was|are|should~be|used~to~be)|['’]s|s~is|~?[:=])"
    r"|i(?:['’]?m|~am)~(?:called|named)"
    r"|(?:can|everyone|everybody|people|friends|they|just|please)~calls?~me"
    r"|me~llamo|mi~nombre~es|je~m['’]appelle|mon~nom~est|ich~hei(?:ß|ss)e|mein~name~ist"
    r"|me~chamo|meu~nome~[eé]|mi~chiamo|меня~зовут|اسمي"
    r")~?:?~?(?<=[\s:='’])(?:(?:spelled|spelt|written|listed|shown|printed)~(?:as~)?)?[\"“']?)"
    r"|(?P<hello>(?:(?<!\w)(?:hi|hello|hey|morning|afternoon|evening|there)[\s,.!]{1,3}|^)"
    r"this~is~)"
    # Only capitals tell a name here.
    r"|(?P<capital>(?<!\w)(?:names?~(?:(?:was|got)~)?(?:changed?~)?(?:from(?:~\[name\]~to)?|to)"
    r"|(?:calls?|called)~me|\[name\],?~(?:not|instead~of)|regards,|sincerely,)~)"
    # And here, only two of them, or what comes next.
    r"|(?P<this>(?<!\w)(?:this~is|i(?:['’]?m|~am))~)"
    r"|(?P<bye>(?<!\w)(?:regards|sincerely|yours~truly|yours|cheers|thanks|thank~you|signed)"
    r"~?[,!.\n]\s{0,3})"
)
_CUES: Final = re.compile(
    _CUE_FORMS.replace("~?", r"\s{0,3}").replace("~", r"\s{1,3}"), re.IGNORECASE
)
_HINT_WORDS: Final = """
    name nombre nome call llamo appelle heiß heisse chamo chiamo i'm i’m am im this thank signed
    regards sincer yours cheers
"""
_HINTS: Final = tuple(_HINT_WORDS.split())
"""Parts of which every cue has one; a text without any need not be read twice."""

_HAN: Final = re.compile(r"(我叫|我的名字是|我的名字叫)([\u4e00-\u9fff]{2,3})")
_AFTER_THIS: Final = re.compile(
    r" ?(?:[,.!;:-]|$|(?:from|here|calling|speaking|writing|again|and|with|in)\b)", re.IGNORECASE
)
_SPEAKS: Final = re.compile(r" (?:from|here|calling|speaking|writing)\b", re.IGNORECASE)
_NOT_A_PERSONS: Final = re.compile(
    r"(?:course|class|file|building|program|club|host|network|wifi|domain|brand|drug|account"
    r"|company|employer|user|display|event|form|book|team|song|movie|game|band|dog|cat)"
    r"(?:['’]?s)? ?$",
    re.IGNORECASE,
)


def find_names(text: str) -> str:
    """Replace what "my name is" and its like announce by `[name]`; the words around it stay."""
    if not text.isascii():
        text = _HAN.sub(r"\1[name]", text)
    lowered = text.lower()
    if text.isascii() and not any(hint in lowered for hint in _HINTS):
        return text
    is_mixed = text != lowered and not text.isupper()
    parts: list[str] = []
    rest_at = 0
    for cue in _CUES.finditer(text):
        if cue.start() < rest_at:
            continue
        end = _end_of_name(text, cue=cue, is_mixed=is_mixed)
        if end is not None:
            parts += (text[rest_at : cue.end()], "[name]")
            rest_at = end
    return "".join([*parts, text[rest_at:]])


def _end_of_name(text: str, *, cue: re.Match[str], is_mixed: bool) -> int | None:
    """Return where the name after a cue ends, or None when no name follows."""
    kind = cue.lastgroup
    needs_capitals = kind in ("capital", "this", "bye")
    if needs_capitals and not is_mixed:
        return None
    if _NOT_A_PERSONS.search(text[max(0, cue.start() - 14) : cue.start()]):
        return None
    words, ends = _words(text, start=cue.end())
    is_capital = is_mixed and bool(words) and words[0][0].isupper()
    taken = _names_among(words, is_capital=is_capital)
    if not taken or (needs_capitals and not is_capital):
        return None
    end = ends[taken - 1]
    if kind == "this":
        is_name = taken > 1 and bool(_AFTER_THIS.match(text, end))
    elif kind == "bye":
        is_name = not text[end:].strip(" .!\n")
    elif kind == "hello":
        is_greeted = cue[0][:4].lower() != "this"
        is_name = bool((_AFTER_THIS if is_capital else _SPEAKS).match(text, end))
        is_name = is_name and (is_capital or is_greeted or taken > 1)
    else:
        is_name = True
    return end if is_name else None


def _words(text: str, *, start: int, at_most: int = 5) -> tuple[list[str], list[int]]:
    """Return the words from `start` on, and where each ends; a full stop ends the last of them."""
    words: list[str] = []
    ends: list[int] = []
    while len(words) < at_most and (found := _WORD.match(text, start)):
        word = found[0]
        is_stopped = word.endswith(".") and len(word) > 2 and word.lower() not in _TITLES
        words.append(word.rstrip(".") if is_stopped else word)
        ends.append(found.end() - is_stopped)
        space = _SPACE.match(text, found.end())
        if is_stopped or space is None:
            break
        start = space.end()
    return words, ends


def _names_among(words: list[str], *, is_capital: bool) -> int:
    """Return how many of the words, from the first on, are a name; 0 when the first is none."""
    taken = 0
    for place, word in enumerate(words[: 5 if is_capital else 3]):
        before = words[place - 1].lower() if place else ""
        plain = word.lower().replace("’", "'")
        if plain in _PARTICLES or plain in _TITLES:
            continue
        if is_capital and word[0].islower():
            break
        is_initial = is_capital and len(plain.rstrip(".")) == 1 and word.endswith(".")
        is_sure = is_capital or before in _PARTICLES or plain in _SURE_NAMES
        if not is_initial and (
            plain in _NEVER_NAMES or not (is_sure or not plain.endswith(_ENDINGS))
        ):
            break
        taken = place + 1
    return taken
