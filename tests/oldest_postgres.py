"""The oldest Postgres that a wheel brings: 16.2 with pgvector 0.6.2, which cannot scan on."""

import importlib.util
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from store.postgres_process import (
    end_with_owner,
    let_in,
    make_private,
    run_as,
    unprivileged_account,
)

NEWEST, OLDEST = "18", "16"
START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A Postgres that runs: which, its superuser's URL, and the folder of its programs."""

    version: str
    url: str
    programs: Path


def oldest_programs() -> Path:
    """Where the wheel `pgserver` keeps Postgres' programs. Not imported: that has effects."""
    spec = importlib.util.find_spec("pgserver")
    assert spec is not None, "install the wheel pgserver: pip install -e '.[dev]'"
    (place,) = spec.submodule_search_locations or ()
    return Path(place) / "pginstall" / "bin"


@contextmanager
def oldest_postgres(home: Path, *, options: Mapping[str, str]) -> Iterator[Server]:
    """Run the old server over a folder of the caller's own, until the block ends."""
    programs, data = oldest_programs(), home / "postgres"
    account = unprivileged_account(data)
    if account is not None:
        let_in(account, home, programs)
    make_private(data, account)
    making = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    making += ["--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"]
    subprocess.run(making, capture_output=True, check=True, **run_as(account))
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(data)]
    for name, value in {"listen_addresses": "", **options}.items():
        command += ["-c", f"{name}={value}"]
    with (home / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=end_with_owner(), **run_as(account)
        )
    url = f"postgresql://postgres@/postgres?host={quote(str(data), safe='/')}"
    try:
        _wait_until_ready(url, process)
        yield Server(OLDEST, url, programs)
    finally:
        process.send_signal(signal.SIGINT)  # Postgres: disconnect everyone, then stop
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
