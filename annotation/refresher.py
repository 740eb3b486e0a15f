"""Fills the review queue before a reviewer has to wait for it."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread

import psycopg

from annotation.refresh import Advance, RefreshReport, RememberingEncoder, refresh_queue
from contracts.errors import HubError
from models.encoder import Encoder
from store.database import BlockingPool

LOW = 20
"""Items without any label below which the queue is filled again, in the background."""
PAUSE_S = 60.0
"""The least time between two background refreshes: an empty log would be read without end."""

log = logging.getLogger(__name__)

_FAILURES = (psycopg.Error, HubError)
"""The database is away or full: what a later try may find mended."""


class EncoderMissing(HubError):
    """The encoder is not there yet: start `make run` once, which makes it."""


class Refresher:
    """One a process. `trouble` is why the last refresh failed, None when it did not."""

    def __init__(
        self,
        pool: BlockingPool,
        *,
        encoder_dir: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: str | None = None
        self._pool = pool
        self._encoder_dir = encoder_dir
        self._encoder: RememberingEncoder | None = None
        self._clock = clock
        self._opening = Lock()
        self._deciding = Lock()
        self._next_at = clock()

    def encoder(self) -> RememberingEncoder:
        """Return the hub's encoder, opened once. Raises EncoderMissing."""
        with self._opening:
            if self._encoder is None:
                try:
                    self._encoder = RememberingEncoder(Encoder(self._encoder_dir))
                except FileNotFoundError as error:
                    raise EncoderMissing(f"Expected in {self._encoder_dir}.") from error
            return self._encoder

    def refresh(self, *, advance: Advance = lambda done, of: None) -> RefreshReport | None:
        """Fill the queue now; None and `trouble` when it failed, and the queue is as it was."""
        try:
            with self._pool.connection() as connection:
                report = refresh_queue(
                    connection, encoder=self.encoder(), now=datetime.now(UTC), advance=advance
                )
        except _FAILURES as error:
            log.warning("The review queue could not be filled: %s", type(error).__name__)
            self.trouble = f"New queries could not be fetched: {error}"
            return None
        self.trouble = None
        return report

    def refresh_when_low(self, untouched: int) -> Thread | None:
        """Start filling the queue in the background when few items are left; at most so often."""
        with self._deciding:
            if untouched >= LOW or self._clock() < self._next_at:
                return None
            self._next_at = self._clock() + PAUSE_S
        thread = Thread(target=self.refresh, name="refresh-queue", daemon=True)
        thread.start()
        return thread
