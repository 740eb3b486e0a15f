"""A circuit breaker: who has failed several times in a row is left alone for a while."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.errors import HubError

log = logging.getLogger(__name__)


class Breaker:
    """Guards the calls to one service; threads may share it.

    After `failures` in a row it is open: calls fail at once. After `rest_s` one of them is let
    through as a trial: if it succeeds all are, and if it fails the rest begins again.
    """

    def __init__(
        self,
        name: str,
        *,
        failure: type[HubError],
        failures: int = 3,
        rest_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failure` is what counts, and what is raised while open. Other errors are answers."""
        self._name = name
        self._failure = failure
        self._failures = failures
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None
        self._is_trying = False

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let one call through, and see how it ends. Raises `failure` while the breaker is open."""
        is_trial = self._enter()
        try:
            yield
        except self._failure as error:
            self._failed(error, is_trial=is_trial)
            raise
        except Exception:
            self._answered()
            raise
        except BaseException:  # given up by us: that says nothing of the service
            with self._lock:
                self._is_trying = self._is_trying and not is_trial
            raise
        self._answered()

    def _enter(self) -> bool:
        with self._lock:
            if self._open_until is None:
                return False
            left_s = self._open_until - self._clock()
            if left_s > 0 or self._is_trying:
                raise self._failure(f"{self._name} failed lately; it is asked again in a while.")
            self._is_trying = True
            return True

    def _failed(self, error: HubError, *, is_trial: bool) -> None:
        with self._lock:
            self._in_a_row += 1
            if self._open_until is not None and not is_trial:
                return  # begun before it opened
            if is_trial or self._in_a_row >= self._failures:
                if self._open_until is None:
                    log.warning(
                        "%s is away, asking again every %.0f s: %s", self._name, self._rest_s, error
                    )
                self._open_until = self._clock() + self._rest_s
                self._is_trying = False

    def _answered(self) -> None:
        with self._lock:
            if self._open_until is not None:
                log.info("%s answers again", self._name)
            self._in_a_row, self._open_until, self._is_trying = 0, None, False
