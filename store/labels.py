"""Review items and their labels in Postgres: leases, labels, undo, and what is verified."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import dict_row

from contracts.errors import LabelRefused
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import IntentProbability, Label, ReviewItem, VerifiedLabel
from store.database import Connection
from store.sql import statement

UNCLEAR = "unclear"
"""What a reviewer says when a query cannot be understood: no intent, and never verified as one."""

_LABEL = (
    "label_id, item_id, reviewer, role, intent, labelled_at, model_version, model_intent,"
    " model_confidence, source"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the labelling is: counts of items, and of one reviewer's own labels."""

    verified: int
    verified_real: int
    labelled: int
    items: int
    mine: int


@dataclass(frozen=True, slots=True)
class UnplacedQuery:
    """A query that no reviewer has given an intent of the hub: out of scope, unclear, or new."""

    query_text: str
    members: int
    is_out_of_scope: bool


def claim_next(
    connection: Connection, *, reviewer: str, lease_s: float, holding: Sequence[str] = ()
) -> ReviewItem | None:
    """Lease the next item to a reviewer for `lease_s`; None when there is nothing left to do.

    Never one that another holds, that this reviewer has labelled, that is verified, or that is
    among `holding` (item ids that this window has). Those with somebody else's label come first,
    then by priority. Two windows of one person get different items while there are enough.
    """
    passed_over = list(holding)
    while True:
        row = connection.execute(
            statement("claim_next"),
            {"reviewer": reviewer, "lease_s": lease_s, "holding": passed_over},
        ).fetchone()
        if row is None:
            return None
        found = _read_item(connection, item_id=row[0], reviewer=reviewer)
        # The claim saw the labels of a moment ago: this person's other window may have been quick.
        if found is not None and not found[1]:
            return found[0]
        release_items(connection, reviewer=reviewer, item_ids=[row[0]])
        passed_over.append(row[0])


def renew_leases(
    connection: Connection, *, reviewer: str, item_ids: Sequence[str], lease_s: float
) -> set[str]:
    """Extend leases and return the ids that are this reviewer's; one that expired may come back."""
    cursor = connection.execute(
        "UPDATE review_items SET leased_by = %(reviewer)s,"
        " leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)"
        " WHERE item_id = ANY (%(item_ids)s) AND (leased_by = %(reviewer)s"
        " OR leased_by IS NULL OR leased_until <= clock_timestamp()) RETURNING item_id",
        {"reviewer": reviewer, "lease_s": lease_s, "item_ids": list(item_ids)},
    )
    return {item_id for (item_id,) in cursor.fetchall()}


def release_items(connection: Connection, *, reviewer: str, item_ids: Sequence[str]) -> None:
    """Give leases back before they expire. Those of others are left alone."""
    connection.execute(
        "UPDATE review_items SET leased_by = NULL, leased_until = NULL"
        " WHERE item_id = ANY (%s) AND leased_by = %s",
        (list(item_ids), reviewer),
    )


def give_label(connection: Connection, *, item_id: str, reviewer: str, intent: str) -> Label:
    """Keep what a reviewer says of an item, and end the lease on it.

    `intent` is an intent's name, 'out_of_scope' or 'unclear'; the caller knows which intents there
    are. A label is kept also when the lease has expired meanwhile. Raises LabelRefused when this
    reviewer has labelled the item already, or item or account are gone.
    """
    with connection.transaction():
        release_items(connection, reviewer=reviewer, item_ids=[item_id])
        row = connection.execute(
            statement("give_label"), {"item_id": item_id, "reviewer": reviewer, "intent": intent}
        ).fetchone()
    if row is not None:
        return Label(*row)
    found = _read_item(connection, item_id=item_id, reviewer=reviewer)
    if found is None:
        raise LabelRefused("The query was erased or taken out of the queue meanwhile.")
    if found[1]:
        raise LabelRefused("You labelled this query already, in another window.")
    raise LabelRefused("The account is disabled; ask a lead.")


def retract_label(
    connection: Connection, *, label_id: int, reviewer: str, lease_s: float
) -> ReviewItem | None:
    """Take back a reviewer's own label and lease its item to them again.

    Returns the item, or None when somebody else holds it now; the label is taken back all the
    same. Raises LabelRefused when there is no such label of theirs (any more).
    """
    row = connection.execute(
        "UPDATE labels SET retracted_at = clock_timestamp()"
        " WHERE label_id = %s AND reviewer = %s AND retracted_at IS NULL RETURNING item_id",
        (label_id, reviewer),
    ).fetchone()
    if row is None:
        raise LabelRefused("There was nothing to take back: that label is gone already.")
    item_id: str = row[0]
    if not renew_leases(connection, reviewer=reviewer, item_ids=[item_id], lease_s=lease_s):
        return None
    found = _read_item(connection, item_id=item_id, reviewer=reviewer)
    return found[0] if found else None


def read_labels(
    connection: Connection, *, reviewer: str | None = None, newest: int | None = None
) -> list[Label]:
    """Return the labels that stand, oldest first: all, one reviewer's, or only the newest so many.

    With `newest` the order is newest first.
    """
    order = "DESC" if newest is not None else "ASC"
    cursor = connection.execute(
        f"SELECT {_LABEL} FROM labels WHERE retracted_at IS NULL"
        " AND (%(reviewer)s::text IS NULL OR reviewer = %(reviewer)s)"
        f" ORDER BY labelled_at {order}, label_id {order} LIMIT %(newest)s",
        {"reviewer": reviewer, "newest": newest},
    )
    return [Label(*row) for row in cursor.fetchall()]


def read_verified(connection: Connection) -> list[VerifiedLabel]:
    """Return the labels that two people stand for, by item."""
    cursor = connection.execute(
        "SELECT item_id, query_text, intent, verified_at, verified_by, source, model_version,"
        " members FROM verified_labels ORDER BY item_id"
    )
    return [VerifiedLabel(*row) for row in cursor.fetchall()]


def read_unplaced(connection: Connection, *, newest: int) -> list[UnplacedQuery]:
    """Return the newest so many queries that no standing label gives an intent of the hub."""
    cursor = connection.execute(
        statement("read_unplaced"),
        {"placeless": [OUT_OF_SCOPE, UNCLEAR], "out_of_scope": OUT_OF_SCOPE, "newest": newest},
    )
    return [UnplacedQuery(*row) for row in cursor.fetchall()]


def read_titles(connection: Connection, node_ids: Sequence[str]) -> dict[str, str]:
    """Return the titles of knowledge nodes by id; those that are gone are left out."""
    cursor = connection.execute(
        "SELECT id, title FROM knowledge_nodes WHERE id = ANY (%s)", (list(node_ids),)
    )
    return dict(cursor.fetchall())


def read_progress(connection: Connection, *, reviewer: str) -> Progress:
    """Return how far the labelling is."""
    row = connection.execute(statement("read_progress"), {"reviewer": reviewer}).fetchone()
    assert row is not None, "counts are always there"
    return Progress(*row)


def _read_item(
    connection: Connection, *, item_id: str, reviewer: str
) -> tuple[ReviewItem, bool] | None:
    """Return an item and whether this reviewer has labelled it, or None when it is gone."""
    cursor = connection.cursor(row_factory=dict_row)
    row = cursor.execute(
        statement("read_item"), {"item_id": item_id, "reviewer": reviewer}
    ).fetchone()
    if row is None:
        return None
    is_mine: bool = row.pop("is_mine")
    row["alternatives"] = tuple(IntentProbability(**one) for one in row["alternatives"])
    row["result_ids"] = tuple(row["result_ids"])
    return ReviewItem(**row), is_mine
