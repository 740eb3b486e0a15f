"""What every replica of a stage says of itself, also while one of them comes or goes."""

import asyncio
from typing import Any

from ray.serve.handle import DeploymentHandle

from graph.coalescer import was_lost

ASK_TIMES = 3
ASK_AGAIN_AFTER_S = 0.3


async def reports_of(handle: DeploymentHandle[Any], stage: str) -> list[dict[str, Any]]:
    """Ask every replica what it holds.

    Raises ConnectionError when none takes calls, as while the only one is told another version, or
    when a call is lost again and again. Left alone, Serve would answer that itself, in plain text.
    """
    asked = 1
    while True:
        try:
            reports: list[dict[str, Any]] = await handle.broadcast("report").results_async()
            return reports
        except Exception as error:
            if not was_lost(error):
                raise
            if asked == ASK_TIMES:
                raise ConnectionError(f"not every {stage} replica answers: {error!r}") from error
        # One that left in the middle is soon asked no more.
        asked += 1
        await asyncio.sleep(ASK_AGAIN_AFTER_S)
