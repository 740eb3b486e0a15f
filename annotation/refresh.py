"""Bring the review queue up to date: what was asked meanwhile becomes items, or joins some."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, Protocol

import numpy as np

from annotation.folding import SAME_FROM, nearest
from annotation.questions import AUDIT_SHARE, Candidate, Question, distinct_questions
from annotation.queue import QueueItem, rank
from contracts.records import Vector, Vectors
from contracts.text import normalise
from store.database import Connection
from store.review_queue import (
    LoggedQuestion,
    NewItem,
    NewMember,
    QueuedItem,
    read_logged_questions,
    read_queue,
    refreshing,
    write_queue,
)

OPEN_ITEMS: Final = 500
"""How many items wait for reviewers at most: as many labels as a retraining needs."""

DAYS: Final = 30
MAX_TEXTS: Final = 20_000
SEED: Final = 2026

_ROWS_PER_TEXT: Final = 5
_BATCH: Final = 256
_REASONS: Final = ("audit", "doubtful", "thumbs_down")
"""From the weakest to the strongest: an item carries the strongest of its members'."""

Advance = Callable[[int, int], None]
"""Called with (texts embedded, texts to embed) after each batch."""


class TextEncoder(Protocol):
    """What turns texts into unit vectors of one space: models.encoder.Encoder."""

    def encode(self, texts: list[str]) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did. `is_busy`: nothing, since somebody else was refreshing.

    `texts` were looked at, `items` made; `members` interactions belong to an item now, new or old.
    """

    texts: int = 0
    items: int = 0
    members: int = 0
    is_busy: bool = False


class RememberingEncoder:
    """An encoder that embeds a text once while the process lives, for all its threads."""

    def __init__(self, encoder: TextEncoder, *, entries: int = 2 * MAX_TEXTS) -> None:
        self._encoder = encoder
        self._entries = entries
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = Lock()

    def encode(self, texts: list[str]) -> Vectors:
        """Return one unit vector a text, in their order."""
        if not texts:
            return self._encoder.encode(texts)
        with self._lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, self._encoder.encode(new), strict=True)
        with self._lock:
            for text, vector in known.items():
                self._vectors[text] = vector
                self._vectors.move_to_end(text)
            while len(self._vectors) > self._entries:
                self._vectors.popitem(last=False)
        return np.stack([known[text] for text in texts])


def refresh_queue(
    connection: Connection,
    *,
    encoder: TextEncoder,
    now: datetime,
    limit: int = OPEN_ITEMS,
    days: int = DAYS,
    seed: int = SEED,
    audit_share: float = AUDIT_SHARE,
    max_texts: int = MAX_TEXTS,
    advance: Advance = lambda done, of: None,
) -> RefreshReport:
    """Fill the queue up to `limit` open items with what was asked in the last `days`.

    What is a near-duplicate of an item, open or labelled, joins it, and raises it while it is
    open. Looks at the newest `max_texts` distinct texts and items. Real and simulated questions
    never share an item; real ones come first. Running it again changes nothing; while another
    process is at it, this one does nothing and says so. Interrupted, it leaves the queue as it was.
    Raises psycopg.Error when the database is away or refuses.
    """
    with refreshing(connection) as is_mine:
        if not is_mine:
            return RefreshReport(is_busy=True)
        logged = read_logged_questions(
            connection,
            since=now - timedelta(days=days),
            seed=seed,
            audit_share=audit_share,
            rows=max_texts * _ROWS_PER_TEXT,
        )
        candidates = _newest_texts(logged, texts=max_texts)
        queue = read_queue(connection, rows=max_texts)
        changes, texts, is_open = _Changes(), 0, 0
        for is_simulated in (False, True):
            asked = candidates[is_simulated]
            items = [item for item in queue if item.is_simulated is is_simulated]
            is_open += sum(item.is_open for item in items)
            questions = distinct_questions(asked.values(), seed=seed, audit_share=audit_share)
            if not questions:
                continue
            texts += len(questions)
            names = [question.newest.text for question in questions]
            vectors = _embed(
                [*names, *(item.query_text for item in items)], encoder=encoder, advance=advance
            )
            mine, known = vectors[: len(questions)], vectors[len(questions) :]
            fresh = changes.join(questions, mine, items=items, known=known, asked=asked)
            ranked = rank(
                [
                    replace(asked[name], vector=mine[row])
                    for row in fresh
                    for name in questions[row].members
                ],
                limit=max(0, limit - is_open - len(changes.items)),
                seed=seed,
                audit_share=audit_share,
                known=known,
            )
            changes.make(ranked, asked=asked)
        made, added = write_queue(
            connection, items=changes.items, members=changes.members, raised=changes.raised
        )
    return RefreshReport(texts, made, added)


class _Changes:
    """What a refresh is about to write."""

    def __init__(self) -> None:
        self.items: list[NewItem] = []
        self.members: list[NewMember] = []
        self.raised: list[QueuedItem] = []

    def join(
        self,
        questions: Sequence[Question],
        vectors: Vectors,
        *,
        items: Sequence[QueuedItem],
        known: Vectors,
        asked: Mapping[str, Candidate],
    ) -> list[int]:
        """Let near-duplicates of items join them; return the rows of the other questions."""
        cosines, nearest_items = nearest(vectors, to=known)
        reasons: dict[int, str] = {}
        left = []
        for row, question in enumerate(questions):
            if cosines[row] < SAME_FROM:
                left.append(row)
                continue
            place = int(nearest_items[row])
            reasons[place] = max(
                reasons.get(place, items[place].reason), question.reason, key=_REASONS.index
            )
            self._add(question.members, item_id=items[place].item_id, asked=asked)
        self.raised += [
            replace(items[place], reason=reason)
            for place, reason in reasons.items()
            if items[place].is_open
        ]
        return left

    def make(self, ranked: Sequence[QueueItem], *, asked: Mapping[str, Candidate]) -> None:
        """Make what was ranked."""
        for item in ranked:
            asked_at = asked[item.interaction_id].asked_at
            self.items.append(NewItem(item.interaction_id, asked_at, item.reason, item.priority))
            self._add(item.members, item_id=item.interaction_id, asked=asked)

    def _add(self, names: Sequence[str], *, item_id: str, asked: Mapping[str, Candidate]) -> None:
        self.members += [NewMember(name, asked[name].asked_at, item_id) for name in names]


def _newest_texts(
    logged: Iterable[LoggedQuestion], *, texts: int
) -> tuple[dict[str, Candidate], dict[str, Candidate]]:
    """Return the interactions of the first so many distinct texts by id: real, simulated."""
    found: tuple[dict[str, Candidate], dict[str, Candidate]] = ({}, {})
    seen: set[str] = set()
    for one in logged:
        text = normalise(one.query_text)
        if text in seen or len(seen) < texts:
            seen.add(text)
            found[one.is_simulated][one.interaction_id] = Candidate(
                interaction_id=one.interaction_id,
                asked_at=one.asked_at,
                session_id=one.session_id,
                text=one.query_text,
                confidence=one.confidence,
                intent=one.intent,
                alternatives=one.alternatives,
                feedback_score=one.feedback_score,
            )
    return found


def _embed(texts: Sequence[str], *, encoder: TextEncoder, advance: Advance) -> Vectors:
    """Embed the normalised texts, each once, and tell how far it is."""
    distinct = list(dict.fromkeys(normalise(text) for text in texts))
    parts = []
    for start in range(0, len(distinct), _BATCH):
        parts.append(encoder.encode(distinct[start : start + _BATCH]))
        advance(min(start + _BATCH, len(distinct)), len(distinct))
    row_of = {text: row for row, text in enumerate(distinct)}
    return np.concatenate(parts)[[row_of[normalise(text)] for text in texts]]
