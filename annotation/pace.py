"""How quickly a reviewer labels."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

PAUSE = timedelta(minutes=2)
"""A longer time between two labels is a pause, and the pace is counted anew after it."""


def items_per_minute(labelled_at: Sequence[datetime], *, now: datetime) -> float | None:
    """Return the pace since the last pause, or None after a pause or before the second label.

    `labelled_at` are the times of one reviewer's latest labels, newest first; the more there are,
    the steadier the figure.
    """
    if len(labelled_at) < 2 or now - labelled_at[0] > PAUSE:
        return None
    steps = 0
    for later, earlier in pairwise(labelled_at):
        if later - earlier > PAUSE:
            break
        steps += 1
    minutes = (labelled_at[0] - labelled_at[steps]) / timedelta(minutes=1)
    return steps / minutes if minutes > 0 else None
