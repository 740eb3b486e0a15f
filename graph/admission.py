"""Who may ask now: a quota for each session, and a limit for all."""

import math
import time
from collections import OrderedDict

from graph.problems import ProblemError

MAX_REMEMBERED = 50_000


class Quota:
    """A token bucket for each key: `per_minute` at once, refilled evenly. 0 means no limit.

    Each ingress replica keeps its own buckets; a session that is spread over replicas may get
    up to that many times its quota.
    """

    def __init__(self, *, per_minute: int, what: str = "ask {} questions a minute") -> None:
        """`what` says in the refusal what is limited, with a place for the number."""
        self._per_minute = per_minute
        self._what = what.format(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, *, now_s: float | None = None) -> None:
        """Take one token. Raises a 429 with the seconds until the next one."""
        if not self._per_minute:
            return
        now_s = time.monotonic() if now_s is None else now_s
        tokens, since_s = self._buckets.pop(key, (float(self._per_minute), now_s))
        per_s = self._per_minute / 60
        tokens = min(float(self._per_minute), tokens + (now_s - since_s) * per_s)
        enough = tokens >= 1
        self._buckets[key] = (tokens - 1 if enough else tokens, now_s)
        if len(self._buckets) > MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        if not enough:
            raise ProblemError(
                429,
                f"You may {self._what}; please wait a moment.",
                kind="quota",
                retry_after_s=max(1, math.ceil((1 - tokens) / per_s)),
            )


class Room:
    """Counts queries inside; beyond `limit` it refuses at once rather than let all of them wait."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self.inside = 0

    def enter(self) -> None:
        """Take a place, to be given back with `leave`. Raises a 503 when there is none."""
        if self.inside >= self._limit:
            raise ProblemError(
                503,
                "Too many questions at once; please ask again in a moment.",
                kind="overload",
                retry_after_s=1,
            )
        self.inside += 1

    def leave(self) -> None:
        self.inside -= 1
