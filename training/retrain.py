"""Retrain: `python -m training.retrain`, from verified labels to a version that serves, or not.

snapshot → label gate → consistency → split → train → evaluate → regression gate → publish → hot
swap → verify. The first closed gate ends it, with its reasons and an exit status of its own:

0 done · 1 failed · 2 wrong usage · 3 not enough labels · 4 labels contradict each other
5 the candidate is worse · 6 it did not take over · 7 live, it was not what was evaluated
8 another retraining runs · 9 no room in the cluster

A Ray job: in a cluster (`ray job submit --working-dir . -- python -m training.retrain`) it runs
there; beside a hub of `make run` it submits itself to that one's cluster; elsewhere it starts a
small Ray of its own, and what it publishes waits for `python -m training.registry promote`.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from contracts.errors import ArtifactError
from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from training.beside import hub_beside
from training.ray_job import is_in_cluster, submit
from training.stages.consistency import consistency
from training.stages.label_gate import label_gate
from training.stages.run import End, Exit, RunFolder, Stage, begin_run, end_of, say
from training.stages.snapshot import snapshot
from training.stages.split import split
from training.who import who_acts

NICENESS: Final = 10
"""Answers come first."""

console = Console(highlight=False, soft_wrap=True)


def stages_of(*, is_dry_run: bool, is_promoted: bool) -> list[Stage]:
    """Return the stages in their order: a dry run looks at the labels, and trains nothing."""
    stages: list[Stage] = [snapshot, label_gate, consistency, split]
    if is_dry_run:
        return stages
    # Torch comes with these: whom the label gate sends away has not waited for it.
    from training.stages.evaluate import evaluate
    from training.stages.gate import gate
    from training.stages.publish import publish
    from training.stages.train import train

    stages += [train, evaluate, gate, publish]
    if is_promoted:
        from training.stages.swap import swap
        from training.stages.verify import verify

        stages += [swap, verify]
    return stages


@dataclass(frozen=True, slots=True)
class Retraining:
    """How a retraining ended, and the folder of its run, None when none was begun."""

    end: End
    run: RunFolder | None = None


def retrain(
    settings: Settings, *, is_dry_run: bool, is_promoted: bool, dataset: Path | None
) -> Retraining:
    """Run the chain in this process and say how it ended."""
    settings.runs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    begun: list[RunFolder] = []
    with _only_one(settings.runs_dir) as other:
        if other is not None:
            why = f"Another retraining runs ({other}). This one did nothing; look again later."
            say(why)
            return Retraining(End(Exit.ANOTHER_RUNS, (why,)))
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        end = end_of(lambda: _run(settings, is_dry_run, is_promoted, dataset, begun.append))
    return Retraining(end, begun[0] if begun else None)


def _run(
    settings: Settings,
    is_dry_run: bool,
    is_promoted: bool,
    dataset: Path | None,
    begun: Callable[[RunFolder], None],
) -> None:
    champion = Registry(open_store(settings.artifacts_root)).champion()
    if champion is None and dataset is None:
        raise ArtifactError("There is no champion to go on from; `make run` makes the first one.")
    run = begin_run(
        settings.runs_dir,
        champion=champion.version if champion else None,
        who=who_acts(),
        dataset=dataset,
        is_promoted=is_promoted,
    )
    begun(run)
    say(f"run {run.order.run} in {run.path}; the champion is {run.order.champion}")
    for stage in stages_of(is_dry_run=is_dry_run, is_promoted=run.order.is_promoted):
        _timed(stage, run, settings)
    say("dry run: nothing was trained" if is_dry_run else "done")


def _timed(stage: Stage, run: RunFolder, settings: Settings) -> None:
    began = time.monotonic()
    stage(run, settings, say)
    name = stage.__name__.replace("_", " ")
    say(f"  {name} took {time.monotonic() - began:.1f} s")


@contextmanager
def _only_one(runs_dir: Path) -> Iterator[str | None]:
    """Hold the lock of this home's retrainings; yield who holds it when it is taken, else None.

    It goes with its process, however that ends.
    """
    with (runs_dir / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            yield lock.read().strip() or "it has just begun"
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}")
        lock.flush()
        yield None


def main(given: Sequence[str] | None = None) -> int:
    """Submit the job, or be it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.retrain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="look at the labels and split them; train nothing"
    )
    parser.add_argument(
        "--no-promote", action="store_true", help="publish what passes; the champion stays"
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="FILE",
        help="train on this file of labelled queries (JSON lines, or CLINC150's JSON) instead of"
        " the hub's labels; implies --no-promote",
    )
    given = sys.argv[1:] if given is None else given
    arguments = parser.parse_args(given)
    settings = Settings()
    hub = None if is_in_cluster() else hub_beside(settings.home_dir)
    if hub is not None:
        words = [str(Path(word).resolve()) if Path(word).is_file() else word for word in given]
        return submit(
            "training.retrain", words, dashboard=hub.dashboard_url, token=hub.token, console=console
        )
    return retrain(
        settings,
        is_dry_run=arguments.dry_run,
        is_promoted=not arguments.no_promote,
        dataset=arguments.dataset,
    ).end.status


if __name__ == "__main__":
    sys.exit(main())
