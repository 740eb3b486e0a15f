"""Take the nightly snapshots: `python -m scripts.snapshot [--day YYYY-MM-DD]`.

A Ray job: in a cluster (`ray job submit -- python -m scripts.snapshot`, or wherever RAY_ADDRESS
says) its tasks write the parts; beside a hub of `make run` it submits itself to that one's cluster;
elsewhere it starts a small Ray of its own. Exit status: 0 the day is there, 1 it is not.
"""

import argparse
import asyncio
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import Any

import psycopg
import ray
from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient
from rich.console import Console

from contracts.errors import HubError
from contracts.settings import Settings
from store.running import running_database
from training.beside import hub_beside
from training.ray_datasets import run_on_ray
from training.snapshot import Places, SnapshotJob, Taken, peak_rss_bytes

OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Parts go from the database to the store without passing through Ray."""


@contextmanager
def connected() -> Iterator[None]:
    """Be connected to the cluster of RAY_ADDRESS, or to a small Ray of our own."""
    with ExitStack() as stack:
        own: dict[str, Any] = {}
        if not os.environ.get("RAY_ADDRESS"):
            # Nobody else can reach it; a token left in a home folder must not be asked for.
            os.environ["RAY_AUTH_MODE"] = "disabled"
            own = {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-ray-")),
            }
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
        stack.callback(ray.shutdown)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # we say ourselves how far it is
        yield


def submit(
    given: Sequence[str],
    *,
    dashboard: str,
    token: str,
    console: Console,
    env_vars: Mapping[str, str] | None = None,
) -> int:
    """Run this script as a job of a hub's cluster, show what it says, and return its status.

    The cluster's own environment says where database and store are; `env_vars` changes it.
    """
    client = JobSubmissionClient(dashboard, headers={"Authorization": f"Bearer {token}"})
    # The job speaks for itself.
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    command = [sys.executable, "-m", "scripts.snapshot", *given]
    job = client.submit_job(
        entrypoint=shlex.join(command), runtime_env={"env_vars": dict(env_vars or {})}
    )
    console.print(f"[dim]job {job} of {dashboard}[/]")

    async def listen() -> None:
        async for lines in client.tail_job_logs(job):
            console.print(lines, end="", markup=False)

    asyncio.run(listen())
    while not (status := client.get_job_status(job)).is_terminal():
        time.sleep(0.2)  # its last words come before its end is known
    return 0 if status == JobStatus.SUCCEEDED else 1


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
        hub = None if os.environ.get("RAY_ADDRESS") else hub_beside(settings.home_dir)
        if hub is not None:
            return submit(given, dashboard=hub.dashboard_url, token=hub.token, console=console)

        def say(line: str) -> None:
            console.print(line, markup=False)

        with running_database(settings, say=say) as url, connected():
            job = SnapshotJob(Places(url, settings.artifacts_root), run=run_on_ray, report=say)
            taken = job.take(arguments.day, so_far=arguments.so_far)
    except (HubError, psycopg.Error, RayError, RuntimeError, OSError) as error:
        console.print(f"{error}\nDays that were written before stay; run it again.", markup=False)
        return 1
    _show(taken, console=console, since_s=since_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
