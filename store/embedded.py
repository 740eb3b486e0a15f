"""The default Postgres: real, with pgvector, from a wheel, under HUB_HOME; no root and no port."""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from contracts.errors import DatabaseHeld, DatabaseUnavailable, SettingsError
from contracts.settings import Settings
from store.postgres_process import (
    MAJOR,
    Account,
    binaries,
    end_with_owner,
    is_server_of,
    let_in,
    make_private,
    run_as,
    unprivileged_account,
)

log = logging.getLogger(__name__)

_URL_FILE = "database_url"
_SOCKET_NAME = "/.s.PGSQL.5432"
_SOCKET_PATH_MAX = 107
"""Bytes of a Unix socket's path on Linux, without the closing NUL."""

_SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    # Compiling a plan costs more than any of the hub's queries.
    "jit": "off",
    "log_checkpoints": "off",
}


def database_url(settings: Settings) -> str:
    """Return HUB_DATABASE_URL, or else the URL of the embedded Postgres that this hub runs now.

    Raises SettingsError when neither is there.
    """
    if settings.database_url:
        return settings.database_url
    file = settings.home_dir / _URL_FILE
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        raise SettingsError(
            f"No database: HUB_DATABASE_URL is unset and no hub runs its own Postgres in"
            f" {settings.home_dir}. Start `make run`, or set HUB_DATABASE_URL or HUB_HOME."
        ) from None


class EmbeddedPostgres:
    """One Postgres server over `HOME/postgres`, owned by the process that starts it.

    Others of the same hub connect by URL (`HOME/database_url`). The server ends with `stop()` or,
    should the owner be killed, by itself: the kernel tells it. It listens on a Unix socket in a
    folder of its own, so there is no port to collide and nobody else to keep out.
    """

    def __init__(self, home: Path, *, options: Mapping[str, str] | None = None) -> None:
        """`options` are server settings on top of the hub's own, such as `{"fsync": "off"}`."""
        self.home = home.expanduser().resolve()
        self.data = self.home / "postgres"
        self.log_file = self.home / "postgres.log"
        self._options = {**_SERVER_SETTINGS, **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The connection URL: the same before and after a restart."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder()), safe='/')}"

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    def start(self, *, timeout_s: float = 60.0) -> str:
        """Start the server, wait until it answers, write its URL to `HOME/database_url`; return it.

        Recovers what a killed server left behind. Raises DatabaseHeld when another process
        runs this hub's Postgres, DatabaseUnavailable with the server's words when it can't start.
        """
        if self.pid is not None:
            return self.url
        self.home.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            deadline = time.monotonic() + timeout_s
            account = unprivileged_account(self.data)
            if account is not None:
                let_in(account, self.home, binaries())
            self._make_data(account, timeout_s=timeout_s)
            self._end_orphan(deadline)
            self._launch(account, deadline)
            _write_url(self.home / _URL_FILE, self.url)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self, *, timeout_s: float = 20.0) -> None:
        """Stop the server that this object started, and nothing else; do nothing when none runs."""
        if self._process is not None:
            (self.home / _URL_FILE).unlink(missing_ok=True)
            self._process.send_signal(signal.SIGINT)  # Postgres: disconnect everyone, then stop
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                log.warning(
                    "Postgres did not stop within %.0f s; killing it (it recovers)", timeout_s
                )
                self.kill()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """End the server at once, as a loss of power would. `start` recovers what was committed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """Hold HOME/postgres.lock for as long as this process owns the server (or lives)."""
        if self._lock is not None:
            return
        lock = (self.home / "postgres.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise DatabaseHeld(
                f"Process {owner} already runs this hub's Postgres in {self.data}. Stop it first"
                " (the annotation view, started after the hub, shares it), or set another HUB_HOME."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _make_data(self, account: Account | None, *, timeout_s: float) -> None:
        """Make the data folder, all or nothing, unless it is there."""
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            if (found := version_file.read_text().strip()) != str(MAJOR):
                raise DatabaseUnavailable(
                    f"{self.data} was made by Postgres {found}, this hub brings {MAJOR}."
                    " Move it away, or serve it yourself and set HUB_DATABASE_URL."
                )
            return
        unfinished = self.home / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(unfinished, account.pw_uid, account.pw_gid)
        command = [str(binaries() / "initdb"), "-D", str(unfinished), "-U", "postgres"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions", "--no-sync"]
        try:
            subprocess.run(
                command, capture_output=True, check=True, timeout=timeout_s, **run_as(account)
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            words = (error.stderr or b"").decode(errors="replace").strip()
            raise DatabaseUnavailable(
                f"No database could be made in {self.home}; nothing was kept. {error} {words}"
            ) from error
        unfinished.rename(self.data)

    def _end_orphan(self, deadline: float) -> None:
        """Deal with what a killed owner left: a server that still ends, or a stale pid file.

        The caller holds the lock, so no living hub owns that server.
        """
        pid_file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            if not is_server_of(pid, data=self.data):
                # Postgres itself would refuse to start if another program has that number now.
                pid_file.unlink()
                return
            log.warning("Ending the Postgres (pid %d) that a killed hub left in %s", pid, self.data)
            os.kill(pid, signal.SIGINT)
            while is_server_of(pid, data=self.data):
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(
                        f"The Postgres (pid {pid}) that a killed hub left in {self.data} does not"
                        f" end. Stop it: kill -QUIT {pid}"
                    )
                time.sleep(0.05)

    def _launch(self, account: Account | None, deadline: float) -> None:
        sockets = self._socket_folder()
        make_private(sockets, account)
        options = {**self._options, "unix_socket_directories": str(sockets)}
        command = [str(binaries() / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        while True:
            with self.log_file.open("ab") as output:
                start = output.tell()
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Ctrl-C in the terminal is for the owner, who stops the server last.
                    start_new_session=True,
                    preexec_fn=end_with_owner(),
                    **run_as(account),
                )
            if self._wait_until_ready(deadline):
                return
            with self.log_file.open("rb") as said:
                said.seek(start)
                words = said.read().decode(errors="replace").strip()[-2000:]
            # The workers of a killed server need a moment to notice that it is gone.
            if "shared memory block" not in words or time.monotonic() > deadline:
                self._process = None
                raise DatabaseUnavailable(
                    f"The embedded Postgres in {self.data} did not start; nothing was changed."
                    f" It said: {words or 'nothing'} (log: {self.log_file})."
                )
            time.sleep(0.1)

    def _wait_until_ready(self, deadline: float) -> bool:
        """Return True when the server answers, False when it ended."""
        assert self._process is not None
        while self._process.poll() is None:
            with suppress(FileNotFoundError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                mine = lines[:1] == [str(self._process.pid)]
                if mine and len(lines) >= 8 and lines[7].strip() == "ready":
                    return True
            if time.monotonic() > deadline:
                self.kill()
                return False
            time.sleep(0.01)
        return False

    def _socket_folder(self) -> Path:
        """The data folder, or a short one in the temporary folder when the path does not fit.

        Fits: short enough for the kernel, and without the commas and blanks that libpq splits at.
        """
        path = str(self.data)
        is_short = len(os.fsencode(path + _SOCKET_NAME)) <= _SOCKET_PATH_MAX
        if is_short and re.fullmatch(r"[\w./@+-]+", path, re.ASCII):
            return self.data
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"hub-postgres-{os.getuid()}-{name}"


def _write_url(file: Path, url: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(url + "\n")
    temporary.replace(file)
