"""What the review queue reads and writes in Postgres; which items it makes is not decided here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.outcome import ANSWER_FROM
from contracts.records import IntentProbability
from store.advisory_lock import tried_lock
from store.database import Connection
from store.sql import statement

_LOCK: Final = 7_402_711_385_217


@dataclass(frozen=True, slots=True)
class LoggedQuestion:
    """An interaction that may be asked about, as the log has it."""

    interaction_id: str
    asked_at: datetime
    session_id: str
    query_text: str
    confidence: float | None
    intent: str | None
    alternatives: tuple[IntentProbability, ...]
    feedback_score: int | None
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class QueuedItem:
    """An item that exists; `sessions` counts who asked what it stands for."""

    item_id: str
    query_text: str
    reason: str
    is_simulated: bool
    sessions: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be made: its representative, and the interactions that it will stand for."""

    item_id: str
    asked_at: datetime
    reason: str
    priority: float


@dataclass(frozen=True, slots=True)
class NewMember:
    """An interaction that an item, new or old, will stand for."""

    interaction_id: str
    asked_at: datetime
    item_id: str


@contextmanager
def refreshing(connection: Connection) -> Iterator[bool]:
    """Give True while nobody else refreshes the queue; False at once when somebody does."""
    with tried_lock(connection, _LOCK) as is_mine:
        yield is_mine


def read_logged_questions(
    connection: Connection, *, since: datetime, seed: int, audit_share: float, rows: int
) -> list[LoggedQuestion]:
    """Return interactions since then that no item stands for, the newest `rows`, newest first.

    Those are doubtful ones, those with a thumb, and the audit sample; none of an erased session.
    """
    found = connection.execute(
        statement("read_review_candidates"),
        {
            "since": since,
            "answer_from": ANSWER_FROM,
            "seed": str(seed),
            "audit_share": audit_share,
            "rows": rows,
        },
    )
    return [
        LoggedQuestion(
            interaction_id=row[0],
            asked_at=row[1],
            session_id=row[2],
            query_text=row[3],
            confidence=row[4],
            intent=row[5],
            alternatives=tuple(IntentProbability(**one) for one in row[6]),
            feedback_score=row[7],
            is_simulated=row[8],
        )
        for row in found
    ]


def read_queue(connection: Connection, *, rows: int) -> list[QueuedItem]:
    """Return the newest `rows` items, open or not, newest first."""
    return [
        QueuedItem(*row)
        for row in connection.execute(statement("read_queue_items"), {"rows": rows})
    ]


def write_queue(
    connection: Connection,
    *,
    items: Sequence[NewItem],
    members: Sequence[NewMember],
    raised: Sequence[QueuedItem],
) -> tuple[int, int]:
    """Make items, add members, and raise the items that got more, in one transaction.

    `raised` are items as they are to be, with the `sessions` they had. Returns how many items and
    members were written: what is there already, or was erased meanwhile, is left alone.
    """
    new = [item.item_id for item in items]
    with connection.transaction():
        connection.execute(
            statement("insert_review_items"),
            {
                "item_ids": new,
                "asked_ats": [item.asked_at for item in items],
                "reasons": [item.reason for item in items],
                "priorities": [item.priority for item in items],
            },
        )
        added = connection.execute(
            statement("insert_review_members"),
            {
                "interaction_ids": [member.interaction_id for member in members],
                "asked_ats": [member.asked_at for member in members],
                "item_ids": [member.item_id for member in members],
            },
        ).rowcount
        connection.execute(
            statement("raise_review_items"),
            {
                "item_ids": [item.item_id for item in raised],
                "sessions": [max(1, item.sessions) for item in raised],
                "reasons": [item.reason for item in raised],
            },
        )
        # An erasure between the first two statements leaves an item without its own interaction.
        connection.execute(
            "DELETE FROM review_items AS item WHERE item_id = ANY (%s) AND NOT EXISTS"
            " (SELECT FROM review_members WHERE interaction_id = item.item_id)",
            (new,),
        )
        made = connection.execute(
            "SELECT count(*) FROM review_items WHERE item_id = ANY (%s)", (new,)
        ).fetchone()
    return (made[0] if made else 0), added
