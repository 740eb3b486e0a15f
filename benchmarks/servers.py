"""What is measured: the graph and the monolith, over one database, never two at once."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.usage import Usage, processes_under, usage_of
from contracts.errors import HubError
from contracts.settings import PROJECT, Settings
from scripts.local_cluster import hub_environment
from scripts.ports import free_ports
from scripts.prepare import Step
from scripts.run import bring_up

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class MonolithFailed(HubError):
    """The monolith did not start."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers now, and where its processes are found."""

    name: str
    url: str
    own: tuple[int, ...] = ()
    """Processes by whose children it is known, beside those that `marker` names."""
    marker: str | None = None
    postgres_pid: int | None = None

    def usage(self) -> Usage:
        """Measure what its processes hold and have used, Postgres among them when it is ours."""
        roots = (*self.own, self.postgres_pid) if self.postgres_pid else self.own
        return usage_of(processes_under(roots, marker=self.marker))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Stop its processes for a while (SIGSTOP): an idle server must not slow down its peers.

        Postgres goes on: it is everybody's.
        """
        processes = processes_under(self.own, marker=self.marker)
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@contextmanager
def graph(settings: Settings, *, postgres_pid: int | None, step: Step) -> Iterator[Server]:
    """Bring the graph up as `make run` does, over `settings.database_url`; stop it afterwards."""
    with ExitStack() as stack:
        cluster = bring_up(settings, stack, step=step).cluster
        yield Server(
            "graph",
            cluster.http_url,
            marker=str(cluster.temp_dir),
            postgres_pid=postgres_pid,
        )


@contextmanager
def monolith(
    settings: Settings, *, workers: int, postgres_pid: int | None, step: Step
) -> Iterator[Server]:
    """Bring the monolith up in a process of its own; stop it afterwards. Raises MonolithFailed."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    log_file = settings.home_dir / f"monolith-{workers}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.monolith"),
                *("--port", str(port), "--workers", str(workers)),
            ],
            cwd=PROJECT,
            env={**os.environ, **hub_environment(settings)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with step(f"starting the monolith with {workers} worker{'s'[: workers > 1]}"):
            _wait_for_workers(url, workers=workers, process=process, log_file=log_file)
        yield Server(f"monolith x{workers}", url, own=(process.pid,), postgres_pid=postgres_pid)
    finally:
        _end(process)


def _wait_for_workers(
    url: str, *, workers: int, process: subprocess.Popen[bytes], log_file: Path
) -> None:
    """Wait until every worker has answered; each request has a new connection to find another."""
    seen: set[int] = set()
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise MonolithFailed(log_file.read_text(errors="replace")[-1000:])
        try:
            seen.add(int(httpx.get(f"{url}/v1/healthz", timeout=5).json()["pid"]))
        except httpx.HTTPError:
            time.sleep(0.1)
        if len(seen) == workers:
            return
    raise MonolithFailed(f"{len(seen)} of {workers} workers after {START_TIMEOUT_S:.0f} s.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, its workers by it; kill what does not."""
    tree = processes_under([process.pid])
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in tree:
        if one.is_running():
            one.kill()
