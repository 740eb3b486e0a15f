"""The night shift: `python -m scripts.nightly`. Snapshot → label gate → retrain → report.

Safe to run twice: a snapshot that is there is kept, labels that a version was made of are not
trained on again, and a night shift that runs already is noticed. Every step's outcome goes into
one record in the artifact store (nightly/), also when a gate stopped the chain or a step failed.

0 all well, nothing to retrain · 10 retrained and promoted · 11 retrained, waits to be promoted
4, 5, 6, 7 stopped by a gate (as in training.retrain) · 8 another one runs
1 failed · 9 failed, no room in the cluster · 2 wrong usage

A Ray job: in a cluster (`ray job submit --working-dir . -- python -m scripts.nightly`) it runs
there; beside a hub of `make run` it submits itself to that one's cluster; elsewhere it starts a
small Ray of its own.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import psycopg
from rich.console import Console

from contracts.errors import HubError
from contracts.settings import Settings
from scripts.night import (
    IN_WORDS,
    WELL,
    Night,
    NightRecord,
    StepRecord,
    failed,
    keep,
    status_of,
    summary,
    work_through,
)
from scripts.night_steps import NightSteps
from store.advisory_lock import tried_lock
from store.artifacts import open_store
from store.database import connect
from store.running import running_database
from training.beside import hub_beside
from training.ray_job import is_in_cluster, submit
from training.stages.run import say
from training.who import who_acts

_LOCK: Final = 7_402_711_385_241

MakeSteps = Callable[[Settings, str, date], NightSteps]


def spend_night(settings: Settings, *, night: date, make_steps: MakeSteps) -> Night:
    """Work through the night of a day, write its record, say it, and return its status."""
    begun_at = datetime.now(UTC)
    steps = _steps_of(settings, night=night, make_steps=make_steps)
    if steps is None:
        say("Another night shift runs on this database. This one did nothing.")
        return Night.ANOTHER_RUNS
    status = status_of(steps)
    record = NightRecord(
        night=night,
        begun_at=begun_at,
        ended_at=datetime.now(UTC),
        who=who_acts(),
        status=status,
        outcome=IN_WORDS[status],
        steps=tuple(steps),
    )
    try:
        key = keep(record, store=open_store(settings.artifacts_root))
    except HubError as error:
        say(f"The record of this night could not be written: {error}")
        key, status = None, Night.FAILED
    for line in summary(record):
        say(line)
    if key is not None:
        say(f"kept as {key} in {settings.artifacts_root}")
    return status


def _steps_of(settings: Settings, *, night: date, make_steps: MakeSteps) -> list[StepRecord] | None:
    """Return what the steps came to, or None when another night shift is at it."""
    records: list[StepRecord] = []
    try:
        with (
            running_database(settings, say=say) as url,
            connect(url, vectors=False) as connection,
            tried_lock(connection, _LOCK) as is_ours,
        ):
            if not is_ours:
                return None
            steps = make_steps(settings, url, night)
            records = work_through(steps.chain(), report=steps.last())
    except (HubError, psycopg.Error, OSError) as error:
        records.append(
            failed(
                "database",
                f"{error}".strip(),
                do="What was done stays. See to the database, and run it again.",
            )
        )
    return records


def main(given: Sequence[str] | None = None) -> int:
    """Submit the job, or be it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.nightly",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        metavar="YYYY-MM-DD",
        help="whose snapshot is taken, and of the days before that lack one; default: yesterday"
        " (UTC)",
    )
    parser.add_argument(
        "--no-promote", action="store_true", help="publish what passes; a person promotes it"
    )
    parser.add_argument(
        "--plain-status",
        action="store_true",
        help="end with 0 also for 8, 10 and 11: for schedulers that call anything else a failure",
    )
    given = sys.argv[1:] if given is None else given
    arguments = parser.parse_args(given)
    settings = Settings()
    hub = None if is_in_cluster() else hub_beside(settings.home_dir)
    if hub is not None:
        return submit(
            "scripts.nightly",
            given,
            dashboard=hub.dashboard_url,
            token=hub.token,
            console=Console(highlight=False, soft_wrap=True),
        )
    status = spend_night(
        settings,
        night=arguments.day or datetime.now(UTC).date() - timedelta(days=1),
        make_steps=partial(NightSteps, is_promoted=not arguments.no_promote),
    )
    return 0 if arguments.plain_status and status in WELL else status


if __name__ == "__main__":
    sys.exit(main())
