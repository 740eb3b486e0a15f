"""What is worth a reviewer's time, and in which order. Pure: no database, no clock, no I/O.

An item's priority is its doubt × how often such things are asked × how unlike it is to what is in
the queue already. Why these three, and why so: docs/decisions/0015-what-to-label-first.md.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotation.folding import fold, nearest
from annotation.questions import AUDIT_SHARE, Candidate, Question, Reason, distinct_questions, lot
from contracts.records import Vectors

_UNKNOWN_DIVERSITY: Final = 0.5
"""Of a text without a vector, which may be like anything."""

Scores = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One question to a reviewer. `interaction_id` and `text` are the representative's.

    `members` are the interactions that the label will stand for, the representative first;
    `sessions` counts who asked. `priority`, at least 0, never rises along the queue.
    """

    interaction_id: str
    text: str
    reason: Reason
    priority: float
    members: tuple[str, ...]
    sessions: int


def rank(
    candidates: Iterable[Candidate],
    *,
    limit: int,
    seed: int,
    audit_share: float = AUDIT_SHARE,
    known: Vectors | None = None,
) -> list[QueueItem]:
    """Return at most `limit` items, the most worthwhile first; the same input, the same items.

    Takes what is below ANSWER_FROM, what got a thumb down, and a random `audit_share` of the
    confident rest, which gets that share of the places. Near-duplicates are one item. `known`,
    shape (items, dims), are unit vectors of what is asked or labelled already: what is like them
    comes later. A vector with a value that is not finite, or of no length, counts as none.
    Raises ValueError for a limit, a share or vectors that cannot be.
    """
    if limit < 0 or not 0 <= audit_share <= 1:
        raise ValueError(f"limit is {limit} and audit_share {audit_share}: neither can be")
    questions = distinct_questions(candidates, seed=seed, audit_share=audit_share)
    vectors, has_vector = _unit_vectors(questions)
    groups, akin = _fold(questions, vectors=vectors, has_vector=has_vector)
    items = [_item([questions[row] for row in group], vectors[group]) for group in groups]
    leaders = np.array([group[0] for group in groups], dtype=np.intp)
    worth = np.array(
        [max(questions[row].doubt for row in group) for group in groups], dtype=np.float64
    ) * np.log2(1 + akin)
    is_audit = np.array([item.reason == "audit" for item in items], dtype=bool)
    chosen = _pick(
        worth[~is_audit],
        vectors=vectors[leaders][~is_audit],
        has_vector=has_vector[leaders][~is_audit],
        known=known,
        picks=limit,
    )
    others = [item for item in items if item.reason != "audit"]
    audits = [replace(items[row], priority=float(worth[row])) for row in np.flatnonzero(is_audit)]
    audits.sort(key=lambda item: lot(item.interaction_id, seed=seed))
    ranked = [replace(others[row], priority=priority) for row, priority in chosen]
    return _spread(audits, among=ranked, share=audit_share)[:limit]


def _unit_vectors(questions: Sequence[Question]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Return a unit row for each question, zeros where there is none, and which rows are real."""
    given = [question.newest.vector for question in questions]
    widths = {np.shape(vector) for vector in given if vector is not None}
    if len(widths) > 1 or any(len(width) != 1 for width in widths):
        raise ValueError(f"vectors of one space have one width, these have {sorted(widths)}")
    dims = widths.pop()[0] if widths else 1
    vectors = np.zeros((len(questions), dims), dtype=np.float32)
    for row, vector in enumerate(given):
        if vector is not None:
            length = float(np.linalg.norm(vector))
            if math.isfinite(length) and length > 0:
                vectors[row] = vector / length
    return vectors, np.asarray(vectors.any(axis=1))


def _fold(
    questions: Sequence[Question], *, vectors: Vectors, has_vector: NDArray[np.bool_]
) -> tuple[list[Rows], Scores]:
    """Return groups of one question, and how many sessions asked something akin to each."""
    weights = np.array([question.weight for question in questions], dtype=np.float64)
    rows, alone = np.flatnonzero(has_vector), np.flatnonzero(~has_vector)
    folding = fold(vectors[rows], weights=weights[rows])
    groups = [rows[group] for group in folding.groups] + [np.array([row]) for row in alone]
    return groups, np.concatenate((folding.akin, weights[alone]))


def _item(questions: Sequence[Question], vectors: Vectors) -> QueueItem:
    """Make an item of questions that are one: the text most asked stands for it, or of several
    such the most central one."""
    weights = np.array([question.weight for question in questions])
    centrality = vectors @ (weights.astype(np.float32) @ vectors)
    best = max(range(len(questions)), key=lambda row: (weights[row], centrality[row], -row))
    first = questions[best]
    rest = [question for question in questions if question is not first]
    reasons = {question.reason for question in questions}
    reason: Reason = "audit"
    if "thumbs_down" in reasons:
        reason = "thumbs_down"
    elif "doubtful" in reasons:
        reason = "doubtful"
    return QueueItem(
        interaction_id=first.newest.interaction_id,
        text=first.newest.text,
        reason=reason,
        priority=0.0,
        members=(*first.members, *(name for question in rest for name in question.members)),
        sessions=len(frozenset().union(*(question.sessions for question in questions))),
    )


def _pick(
    worth: Scores,
    *,
    vectors: Vectors,
    has_vector: NDArray[np.bool_],
    known: Vectors | None,
    picks: int,
) -> list[tuple[int, float]]:
    """Return (row, priority) of the best `picks` rows, each unlike those before it and `known`."""
    like = np.zeros(len(worth), dtype=np.float32)
    if known is not None and has_vector.any():
        if known.ndim != 2 or known.shape[1] != vectors.shape[1]:
            raise ValueError(f"known is {known.shape}, the vectors are {vectors.shape[1]} wide")
        like[has_vector] = nearest(vectors[has_vector], to=known)[0]
    like[~has_vector] = 1 - _UNKNOWN_DIVERSITY
    # Nothing becomes less like what was picked, so an old score is an upper bound: only rows whose
    # bound is the largest are looked at anew.
    bounds = worth * (1 - np.clip(like, 0, 1))
    compared = np.zeros(len(worth), dtype=np.intp)
    picked = np.zeros((min(picks, len(worth)), vectors.shape[1]), dtype=np.float32)
    chosen: list[tuple[int, float]] = []
    while len(chosen) < len(picked):
        row = int(bounds.argmax())
        if has_vector[row] and compared[row] < len(chosen):
            since = picked[compared[row] : len(chosen)] @ vectors[row]
            like[row] = max(like[row], float(since.max()))
            compared[row] = len(chosen)
            bounds[row] = worth[row] * max(0.0, 1 - float(like[row]))
            continue
        picked[len(chosen)] = vectors[row]
        chosen.append((row, float(bounds[row])))
        bounds[row] = -1
    return chosen


def _spread(
    audits: Sequence[QueueItem], *, among: Sequence[QueueItem], share: float
) -> list[QueueItem]:
    """Return `among` with an audit at every so many places; audits that are left come last."""
    waiting = list(audits)
    queue: list[QueueItem] = []
    for item in among:
        due = math.floor((len(queue) + 1) * share + 1e-9) - (len(audits) - len(waiting))
        if waiting and due > 0:
            # At the priority of its place: by its own doubt, nobody would ever come to it.
            queue.append(replace(waiting.pop(0), priority=item.priority))
        queue.append(item)
    last = queue[-1].priority if queue else math.inf
    rest = sorted(waiting, key=lambda item: -item.priority)
    return queue + [replace(item, priority=min(item.priority, last)) for item in rest]
