"""A request_id that comes twice: the first answer again, and no second row."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contracts.messages import QueryAnswer
from graph.problems import ProblemError
from store.database import Pool
from store.interactions import answer_request, claim_request, give_up_request
from store.logbook import AWAY

KEPT_S = 24 * 3600
MAX_KEPT = 10_000
LOOK_AGAIN_S = 0.05

log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class _Kept:
    text_digest: str
    since_s: float
    answer: asyncio.Future[QueryAnswer]


class RequestMemory:
    """Remembers the answers of this replica, and through Postgres those of the others.

    While the database is away only this replica's memory speaks: a repeat that lands on another
    replica in that time is answered anew.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def once(
        self,
        *,
        session_id: str,
        request_id: str,
        text_digest: str,
        deadline_s: float,
        answer: Callable[[], Awaitable[QueryAnswer]],
    ) -> QueryAnswer:
        """Return the first answer to this request_id of this session, making it when it is new.

        Raises ProblemError 409 when the first text was another one. An answer that fails is
        forgotten, so that the caller may try again with the same request_id.
        """
        key = (session_id, request_id)
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept.since_s < KEPT_S:
            _same_text(kept.text_digest, text_digest)
            return await asyncio.shield(kept.answer)
        future: asyncio.Future[QueryAnswer] = asyncio.get_running_loop().create_future()
        self._kept[key] = kept = _Kept(text_digest, time.monotonic(), future)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        try:
            made = await self._claimed(
                key, text_digest=text_digest, deadline_s=deadline_s, answer=answer
            )
        except BaseException as error:
            if self._kept.get(key) is kept:
                del self._kept[key]
            future.set_exception(error if isinstance(error, Exception) else _in_progress())
            future.exception()  # seen, also when nobody repeated the request
            raise
        future.set_result(made)
        return made

    async def _claimed(
        self,
        key: tuple[str, str],
        *,
        text_digest: str,
        deadline_s: float,
        answer: Callable[[], Awaitable[QueryAnswer]],
    ) -> QueryAnswer:
        session_id, request_id = key
        until_s = time.monotonic() + deadline_s
        patience_s = min(0.5, deadline_s / 4)
        try:
            while True:
                mine, first_digest, first = await claim_request(
                    self._pool,
                    session_id=session_id,
                    request_id=request_id,
                    text_digest=text_digest,
                    timeout_s=patience_s,
                )
                if mine:
                    break
                _same_text(first_digest, text_digest)
                if first is not None:
                    return QueryAnswer.model_validate(first)
                if time.monotonic() > until_s:
                    raise _in_progress()
                await asyncio.sleep(LOOK_AGAIN_S)
        except AWAY as error:
            log.warning("request_id kept in this replica only: %s", type(error).__name__)
            return await answer()
        try:
            made = await answer()
        except BaseException:
            await self._tell(give_up_request, key, timeout_s=patience_s)
            raise
        await self._tell(
            answer_request, key, timeout_s=patience_s, answer=made.model_dump(mode="json")
        )
        return made

    async def _tell(
        self,
        change: Callable[..., Awaitable[None]],
        key: tuple[str, str],
        *,
        timeout_s: float,
        **values: object,
    ) -> None:
        session_id, request_id = key
        try:
            await change(
                self._pool,
                session_id=session_id,
                request_id=request_id,
                timeout_s=timeout_s,
                **values,
            )
        except AWAY as error:
            log.warning("the claim of a request_id stays as it was: %s", type(error).__name__)


def _in_progress() -> ProblemError:
    return ProblemError(
        503,
        "The first request with this request_id is still being answered.",
        kind="in-progress",
        retry_after_s=1,
    )


def _same_text(first: str, now: str) -> None:
    if first != now:
        raise ProblemError(
            409, "This request_id was used with another text.", kind="request-id-reused"
        )
