"""Swap: the new version takes over from the champion, under load, or nothing changes.

Reads publish.json; writes swap.json. Exit status 6 when it did not take over.
"""

import sys

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Champion, Registry
from training.beside import Hub, hub_beside, simulated_session
from training.candidate import GOLDEN_FILE
from training.evaluate import read_golden
from training.hot_swap import SwapFailed, hot_swap
from training.stages.run import Exit, GateClosed, Report, RunFolder, run_alone


def swap(run: RunFolder, settings: Settings, report: Report) -> None:
    """Hot swap where a hub runs; else say how to promote. Raises GateClosed."""
    version: str = run.read("publish")["version"]
    hub = hub_beside(settings.home_dir)
    if hub is None:
        run.write("swap", {"version": version, "swapped": False})
        report(
            f"swap: no hub runs here, so nothing can be proven live; the champion stays."
            f" `python -m training.registry promote {version}` makes it the next start's."
        )
        return
    try:
        champion = take_over(version, run=run, hub=hub, settings=settings, report=report)
    except SwapFailed as error:
        run.write("swap", {"version": version, "swapped": False, "why": error.detail})
        raise GateClosed(Exit.SWAP_FAILED, [error.detail.rstrip(".")]) from error
    run.write(
        "swap",
        {
            "version": version,
            "swapped": True,
            "previous": champion.promotion.previous,
            "sequence": champion.promotion.sequence,
        },
    )


def take_over(
    version: str,
    *,
    run: RunFolder,
    hub: Hub,
    settings: Settings,
    because: str = "",
    report: Report,
) -> Champion:
    """Hot swap to `version` on behalf of a run. Raises SwapFailed."""
    return hot_swap(
        version,
        hub=hub,
        registry=Registry(open_store(settings.artifacts_root)),
        golden=read_golden(GOLDEN_FILE),
        session_token=simulated_session(settings),
        who=run.order.who,
        why=f"retraining {run.order.run}{because}",
        report=report,
    )


if __name__ == "__main__":
    sys.exit(run_alone(swap))
