"""One reviewer's work in one browser window: what is on screen, what comes next, what to undo."""

import time
from collections.abc import Callable

from contracts.errors import LabelRefused
from contracts.records import Label, ReviewItem
from store.database import Connection
from store.labels import (
    claim_next,
    give_label,
    read_labels,
    release_items,
    renew_leases,
    retract_label,
)

AHEAD = 2
"""Items that a window holds: the one on screen and the one that follows without a wait."""
SHORTEST_LOOK_S = 0.3
"""A key pressed sooner after an item came was meant for the one before: nobody reads as fast."""
UNDO_STEPS = 20


class Desk:
    """What one window holds. Every change is in the database first; this only remembers it.

    `current` is the item on screen, None when there is nothing to do. `said` is what the last
    action did, for the person to read; `last` the label it gave, if it gave one.
    """

    def __init__(
        self, *, reviewer: str, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reviewer = reviewer
        self.said: str | None = None
        self.last: tuple[ReviewItem, Label] | None = None
        self._lease_s = lease_s
        self._clock = clock
        self._held: list[ReviewItem] = []
        self._undoable: list[int] = []
        self._came_at = clock()

    @property
    def current(self) -> ReviewItem | None:
        return self._held[0] if self._held else None

    def open(self, connection: Connection) -> None:
        """Find what can be undone from before the page was loaded."""
        newest = read_labels(connection, reviewer=self.reviewer, newest=UNDO_STEPS)
        self._undoable = [label.label_id for label in reversed(newest)]

    def fetch_ahead(self, connection: Connection) -> None:
        """Lease items until the one on screen and its successor are there."""
        while len(self._held) < AHEAD:
            holding = [item.item_id for item in self._held]
            item = claim_next(
                connection, reviewer=self.reviewer, lease_s=self._lease_s, holding=holding
            )
            if item is None:
                return
            if not self._held:
                self._came_at = self._clock()
            self._held.append(item)

    def label(self, connection: Connection, *, item_id: str, intent: str) -> None:
        """Label the item on screen and bring the next one.

        A key that came too soon, or for an item that is no longer on screen, does nothing. When
        the label is refused, `said` tells why, and the item goes.
        """
        item = self.current
        if item is None or item.item_id != item_id:
            return
        if self._clock() - self._came_at < SHORTEST_LOOK_S:
            self.said = "That key came too soon after the query to be meant for it: not counted."
            return
        try:
            label = give_label(connection, item_id=item_id, reviewer=self.reviewer, intent=intent)
        except LabelRefused as refused:
            self.said, self.last = str(refused), None
        else:
            self.said, self.last = None, (item, label)
            self._undoable.append(label.label_id)
        self._held.pop(0)
        self._keep_leases(connection)
        self._came_at = self._clock()

    def undo(self, connection: Connection) -> None:
        """Take back this reviewer's latest label and bring its item back on screen."""
        if not self._undoable:
            self.said = "There is nothing to take back."
            return
        try:
            item = retract_label(
                connection,
                label_id=self._undoable[-1],
                reviewer=self.reviewer,
                lease_s=self._lease_s,
            )
        except LabelRefused as refused:
            self._undoable.pop()
            self.said, self.last = str(refused), None
            return
        self._undoable.pop()
        self.last = None
        if item is None:
            self.said = "Taken back. Somebody else has that query now."
            return
        self.said = "Taken back: label it anew."
        self._held = [item, *(one for one in self._held if one.item_id != item.item_id)]
        self._came_at = self._clock()

    def close(self, connection: Connection) -> None:
        """Give back what is held: the person signs out."""
        held = [item.item_id for item in self._held]
        release_items(connection, reviewer=self.reviewer, item_ids=held)
        self._held = []

    def _keep_leases(self, connection: Connection) -> None:
        """Extend what is held; what expired and went to somebody else is no longer ours."""
        held = [item.item_id for item in self._held]
        still = renew_leases(
            connection, reviewer=self.reviewer, item_ids=held, lease_s=self._lease_s
        )
        self._held = [item for item in self._held if item.item_id in still]
