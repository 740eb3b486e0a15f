"""Where a job runs: in the cluster it was submitted to, in that of a hub beside, or in its own."""

import asyncio
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import ray
from ray.job_submission import JobStatus, JobSubmissionClient
from rich.console import Console

from contracts.errors import RayUnavailable

OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
"""What jobs pass on by way of Ray is small: parts go from the database to the store without it."""


def is_in_cluster() -> bool:
    """Say whether this process was told which cluster it belongs to."""
    return bool(os.environ.get("RAY_ADDRESS"))


@contextmanager
def connected() -> Iterator[None]:
    """Be connected to the cluster of RAY_ADDRESS, or to a small Ray of our own.

    Raises RayUnavailable.
    """
    with ExitStack() as stack:
        own: dict[str, Any] = {}
        if not is_in_cluster():
            # Nobody else can reach it; a token left in a home folder must not be asked for.
            os.environ["RAY_AUTH_MODE"] = "disabled"
            own = {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-ray-")),
            }
        stack.callback(ray.shutdown)
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
        except Exception as error:
            # No narrower class: for a node that is not up within its 30 s Ray raises this one.
            do = "Try again when the machine has less to do." if own else "RAY_ADDRESS names it."
            raise RayUnavailable(f"{error} {do}") from error
        yield


def submit(
    module: str,
    given: Sequence[str],
    *,
    dashboard: str,
    token: str,
    console: Console,
    env_vars: Mapping[str, str] | None = None,
) -> int:
    """Run `python -m module given...` as a job of a hub's cluster, and show what it says.

    Returns the job's exit status. The cluster's own environment says where database and store
    are; `env_vars` changes it. Ctrl-C stops the job.
    """
    client = JobSubmissionClient(dashboard, headers={"Authorization": f"Bearer {token}"})
    # The job speaks for itself.
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    job = client.submit_job(
        entrypoint=shlex.join(["python", "-m", module, *given]),
        runtime_env={"env_vars": dict(env_vars or {})},
    )
    console.print(f"[dim]job {job} of {dashboard}[/]")

    async def listen() -> None:
        async for lines in client.tail_job_logs(job):
            console.print(lines, end="", markup=False)

    try:
        asyncio.run(listen())
        while not (status := client.get_job_status(job)).is_terminal():
            time.sleep(0.2)  # its last words come before its end is known
    except KeyboardInterrupt:
        client.stop_job(job)
        console.print(f"stopped job {job}")
        return 130
    if status == JobStatus.SUCCEEDED:
        return 0
    return client.get_job_info(job).driver_exit_code or 1
