"""From interactions to distinct questions: which are worth asking a reviewer, and how doubtful."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from contracts.outcome import ANSWER_FROM
from contracts.records import IntentProbability, Vector
from contracts.text import is_blank, normalise

AUDIT_SHARE: Final = 0.05
"""The share of confident interactions that is looked at anyway, and of places in the queue."""

Reason = Literal["doubtful", "thumbs_down", "audit"]

_WITHOUT_CLASSIFIER: Final = ANSWER_FROM
"""The trust in an answer that no classifier gave: it says nothing about what the model knows."""

_SESSION_WEIGHT: Final = 10.0
"""What one session's texts count for together at most: one person cannot fill the queue."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An interaction that may become a question to a reviewer.

    `confidence` is calibrated, None when no classifier answered; what is no number in [0, 1]
    counts as None. `vector` is None when the text was not embedded.
    """

    interaction_id: str
    asked_at: datetime
    session_id: str
    text: str
    confidence: float | None
    intent: str | None = None
    alternatives: tuple[IntentProbability, ...] = ()
    feedback_score: int | None = None
    vector: Vector | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Question:
    """One distinct text with everyone who asked it; `newest` is its latest interaction.

    `members` are interactions, the newest first. `weight` is how many sessions asked, `doubt` in
    [0, 1] how likely the answer is wrong.
    """

    newest: Candidate
    members: tuple[str, ...]
    sessions: frozenset[str]
    weight: float
    reason: Reason
    doubt: float


def lot(interaction_id: str, *, seed: int) -> float:
    """Return an interaction's number in [0, 1), which is always the same: audits are drawn by it.

    The same as in store/sql/read_review_candidates.sql.
    """
    drawn = hashlib.sha256(f"{seed}:{interaction_id}".encode()).digest()
    return int.from_bytes(drawn[:4], "big") / 2**32


def distinct_questions(
    candidates: Iterable[Candidate], *, seed: int, audit_share: float
) -> list[Question]:
    """Return the distinct texts that a reviewer should see, ordered by their newest interaction.

    That is those with a confidence below ANSWER_FROM or a thumb down, and those that hold one of
    the drawn `audit_share` of all other interactions. Blank texts are left out.
    """
    asked: dict[str, dict[str, Candidate]] = {}
    for one in candidates:
        if not is_blank(one.text):
            asked.setdefault(normalise(one.text), {})[one.interaction_id] = one
    texts_of = Counter(
        session for text in asked.values() for session in {one.session_id for one in text.values()}
    )
    found = (_question(one, texts_of, seed=seed, audit_share=audit_share) for one in asked.values())
    return sorted(
        (question for question in found if question is not None),
        key=lambda question: (question.newest.asked_at, question.newest.interaction_id),
    )


def _question(
    interactions: Mapping[str, Candidate],
    texts_of: Mapping[str, int],
    *,
    seed: int,
    audit_share: float,
) -> Question | None:
    ordered = sorted(
        interactions.values(), key=lambda one: (one.asked_at, one.interaction_id), reverse=True
    )
    newest, sessions = ordered[0], frozenset(one.session_id for one in ordered)
    confidence = newest.confidence
    if confidence is not None and not 0 <= confidence <= 1:  # nan is neither
        confidence = None
    # A session's last thumb on a text counts, once.
    thumbs = {one.session_id: one.feedback_score for one in reversed(ordered) if one.feedback_score}
    down = sum(score < 0 for score in thumbs.values())
    up = len(thumbs) - down
    reason: Reason
    if down:
        reason = "thumbs_down"
    elif confidence is None or confidence < ANSWER_FROM:
        reason = "doubtful"
    elif any(lot(one.interaction_id, seed=seed) < audit_share for one in ordered):
        reason = "audit"
    else:
        return None
    trust = _WITHOUT_CLASSIFIER if confidence is None else confidence
    return Question(
        newest=newest,
        members=tuple(one.interaction_id for one in ordered),
        sessions=sessions,
        weight=sum(min(1.0, _SESSION_WEIGHT / texts_of[one]) for one in sessions),
        reason=reason,
        # One thumb down halves the trust; with as many up it is between.
        doubt=1 - trust * (1 + up) / (1 + up + down),
    )
