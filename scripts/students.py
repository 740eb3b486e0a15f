"""Students who never lived: what they ask, how they type, when they press a thumb or walk away.

Their questions are the synthetic ones, asked as real traffic is: few intents and few questions make
up most of it, many ask the same, people mistype, ask on, and say the same thing in other letters.
"""

import itertools
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from training.examples import Example

ASKS_ON: Final = 0.5
"""Chance of one more question after each."""

ASKS_AGAIN: Final = 0.6
"""Chance that the one more is the same question, said anew, when the hub was not sure."""

SAME_INTENT: Final = 0.7
MISTYPES: Final = 0.25
HANGS_UP: Final = 0.04
THUMB_IF_RIGHT: Final = 0.25
THUMB_IF_WRONG: Final = 0.40
WRONG_THUMB: Final = 0.07
COMMENTS: Final = 0.10
QUESTION_SKEW: Final = 0.8
INTENT_SKEW: Final = 1.0
PAUSE_S: Final = 0.7

_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CLOSINGS: Final = ("?", "??", " pls", " please", " thanks", "...", " asap", "!", " help")
_PRAISE: Final = ("thanks", "that was it", "exactly what i needed", "quick, nice")
_BLAME: Final = ("not what i asked", "wrong office", "did not help", "this is about something else")


@dataclass(frozen=True, slots=True)
class Question:
    """What a student types, the intent that it has, and whether the student waits for an answer."""

    text: str
    plain_text: str
    intent: str
    hangs_up: bool


@dataclass(frozen=True, slots=True)
class Thumb:
    """A thumb: 1 or -1; `is_meant` is False when the finger slipped or the student misjudged."""

    score: int
    comment: str | None
    is_meant: bool


class Crowd:
    """All there is to ask: intents, and questions of each, some far more common than others."""

    def __init__(self, examples: Sequence[Example], *, seed: int = 0) -> None:
        draw = random.Random(seed)
        self._questions: dict[str, list[str]] = {}
        for example in examples:
            self._questions.setdefault(example.intent, []).append(example.text)
        self._intents = sorted(self._questions)
        for ranked in (self._intents, *self._questions.values()):
            draw.shuffle(ranked)
        self._intent_weights = _zipf(len(self._intents), skew=INTENT_SKEW)

    def intent(self, draw: random.Random) -> str:
        """Draw an intent."""
        return draw.choices(self._intents, cum_weights=self._intent_weights)[0]

    def question(self, draw: random.Random, *, intent: str) -> str:
        """Draw a question of an intent, as it was written."""
        questions = self._questions[intent]
        return draw.choices(questions, cum_weights=_zipf(len(questions), skew=QUESTION_SKEW))[0]


class Student:
    """One session: asks, hears the answer, thinks, asks on or leaves."""

    def __init__(self, crowd: Crowd, *, seed: int) -> None:
        self._crowd = crowd
        self._draw = random.Random(seed)
        self._last: Question | None = None
        self._was_sure = True

    def ask(self) -> Question | None:
        """Return the next question, or None when the student leaves. The first always comes."""
        draw, last = self._draw, self._last
        if last is None:
            intent = self._crowd.intent(draw)
            plain_text = self._crowd.question(draw, intent=intent)
        elif draw.random() >= ASKS_ON:
            return None
        elif not self._was_sure and draw.random() < ASKS_AGAIN:
            intent, plain_text = last.intent, last.plain_text
        else:
            is_same = draw.random() < SAME_INTENT
            intent = last.intent if is_same else self._crowd.intent(draw)
            plain_text = self._crowd.question(draw, intent=intent)
        text = type_as_people_do(plain_text, draw=draw)
        self._last = Question(text, plain_text, intent, hangs_up=draw.random() < HANGS_UP)
        return self._last

    def hear(self, answer: dict[str, Any]) -> Thumb | None:
        """Take in the answer to the last question; return the thumb that it gets, if it gets one.

        A student mostly knows whether an answer fits: the thumb is up when its intent is the one
        that was meant, and sometimes the other way round.
        """
        assert self._last is not None, "nothing was asked"
        draw, is_right = self._draw, answer["intent"] == self._last.intent
        self._was_sure = answer["outcome"] == "answered"
        if draw.random() >= (THUMB_IF_RIGHT if is_right else THUMB_IF_WRONG):
            return None
        is_meant = draw.random() >= WRONG_THUMB
        score = 1 if is_right == is_meant else -1
        has_comment = draw.random() < COMMENTS
        comment = draw.choice(_PRAISE if score == 1 else _BLAME) if has_comment else None
        return Thumb(score, comment, is_meant)

    def pause_s(self) -> float:
        """Return how long the student reads and thinks before asking on."""
        return self._draw.expovariate(1 / PAUSE_S)


def type_as_people_do(text: str, *, draw: random.Random) -> str:
    """Return a text with the slips and habits of people who type: typos, case, endings."""
    if draw.random() < MISTYPES:
        for _ in range(draw.choice((1, 1, 1, 2))):
            text = _mistype(text, draw=draw)
    habit = draw.random()
    if habit < 0.15:
        text = text[:1].upper() + text[1:]
    elif habit < 0.18:
        text = text.upper()
    elif habit < 0.25:
        text = text.lower().translate(str.maketrans("", "", "'’"))
    if draw.random() < 0.25:
        text = text.rstrip("?.! ") + draw.choice(_CLOSINGS)
    return text


def _mistype(text: str, *, draw: random.Random) -> str:
    places = [place for place, letter in enumerate(text) if letter in string.ascii_letters]
    if len(places) < 4:
        return text
    place = draw.choice(places[1:])  # the first letter is seldom wrong
    before, letter, after = text[:place], text[place], text[place + 1 :]
    slip = draw.randrange(4)
    if slip == 0:
        return before + after
    if slip == 1:
        return before + letter * 2 + after
    if slip == 2:
        return before + after[:1] + letter + after[1:]
    return before + _neighbour(letter, draw=draw) + after


def _neighbour(letter: str, *, draw: random.Random) -> str:
    row = next(row for row in _KEYBOARD if letter.lower() in row)
    place = row.index(letter.lower())
    return draw.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2])


def _zipf(count: int, *, skew: float) -> list[float]:
    return list(itertools.accumulate(1 / rank**skew for rank in range(1, count + 1)))
