"""Take the nightly snapshots: `python -m scripts.snapshot [--day YYYY-MM-DD]`.

A Ray job: in a cluster (`ray job submit -- python -m scripts.snapshot`, or wherever RAY_ADDRESS
says) its tasks write the parts; beside a hub of `make run` it submits itself to that one's cluster;
elsewhere it starts a small Ray of its own. Exit status: 0 the day is there, 1 it is not.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from datetime import date

import psycopg
import ray.data
from ray.exceptions import RayError
from rich.console import Console

from contracts.errors import HubError
from contracts.settings import Settings
from store.running import running_database
from training.beside import hub_beside
from training.ray_datasets import run_on_ray
from training.ray_job import connected, is_in_cluster, submit
from training.snapshot import Places, Report, SnapshotJob, Taken, peak_rss_bytes


def _show(taken: Sequence[Taken], *, console: Console, since_s: float) -> None:
    for one in taken:
        if one.is_new:
            console.print(
                f"{one.manifest.dataset} of {one.manifest.day}: {one.manifest.rows:,} rows in"
                f" {len(one.manifest.files)} files, up to"
                f" {one.manifest.watermark:%Y-%m-%d %H:%M:%S} UTC"
            )
    if any(one.is_new for one in taken):
        writers = max(one.peak_rss_bytes for one in taken)
        console.print(
            f"{time.monotonic() - since_s:.1f} s; peak RSS: this process"
            f" {peak_rss_bytes() / 2**20:.0f} MiB, the largest writer {writers / 2**20:.0f} MiB"
        )


def take_snapshots(
    url: str, *, store_url: str, day: date | None, so_far: bool = False, say: Report = print
) -> list[Taken]:
    """Take what is due, its parts written by the tasks of the cluster. Raises what the job does,
    RayUnavailable, and RayError."""
    with connected():
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # we say ourselves how far it is
        job = SnapshotJob(Places(url, store_url), run=run_on_ray, report=say)
        return job.take(day, so_far=so_far)


def main(given: Sequence[str] | None = None) -> int:
    """Take what is due, say what was written, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--day", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: yesterday (UTC)"
    )
    parser.add_argument(
        "--so-far", action="store_true", help="take a day that is not over (default: today)"
    )
    given = sys.argv[1:] if given is None else given
    arguments, since_s = parser.parse_args(given), time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = Settings()
        hub = None if is_in_cluster() else hub_beside(settings.home_dir)
        if hub is not None:
            return submit(
                "scripts.snapshot",
                given,
                dashboard=hub.dashboard_url,
                token=hub.token,
                console=console,
            )

        def say(line: str) -> None:
            console.print(line, markup=False)

        with running_database(settings, say=say) as url:
            taken = take_snapshots(
                url,
                store_url=settings.artifacts_root,
                day=arguments.day,
                so_far=arguments.so_far,
                say=say,
            )
    except (HubError, psycopg.Error, RayError, OSError) as error:
        console.print(f"{error}\nDays that were written before stay; run it again.", markup=False)
        return 1
    _show(taken, console=console, since_s=since_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
