"""Forget one person: `python scripts/forget.py --session ID [--dry-run]`.

Erases what came from a session, and the labels that were given to it alone: database, spool,
snapshots, and the sets of model versions. Says what was removed, and which versions were trained
on it. Running it twice is harmless. Exit status: 0 it is done, 1 it could not be done or not whole.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from contracts.errors import HubError, SettingsError
from contracts.settings import Settings
from store.artifacts import open_store
from store.erasure import Erasure, ErasureStopped, Stores, erase_session
from store.identity import session_of
from store.running import running_database

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN_CHARS = 44

console = Console(highlight=False)


def session_id_of(given: str, *, secret: bytes) -> str:
    """Return the session's id, given that or the token of its cookie. Raises SettingsError."""
    given = given.strip().strip('"')
    if not _SESSION.fullmatch(given):
        raise SettingsError(f"{given[:80]!r} is neither a session's id nor its token.")
    if len(given) < _TOKEN_CHARS:
        return given
    session_id = session_of(given, secret=secret)
    if session_id is None:
        raise SettingsError(
            "This hub never issued that token. Give the session's id (the token's first 32"
            " characters), or the HUB_SECRET that it was issued with."
        )
    return session_id


def show(erasure: Erasure, *, dry_run: bool) -> None:
    """Print what was removed, what was trained on it, and what need not be removed."""
    table = Table("place", "what", "would go" if dry_run else "removed", title_justify="left")
    for place, what, count in erasure.removed:
        if count:
            table.add_row(place, what, f"{count:,}")
    table.add_row("redis", "keys are HMACs, values vectors of redacted texts: nobody's", "-")
    console.print(f"session {erasure.session_id}")
    console.print(table)
    if not erasure.found_any:
        console.print("Nothing of this session was found. Is it the right one?")
    if erasure.live_spool_rows:
        console.print(
            f"{erasure.live_spool_rows} rows wait in the spools of replicas that live. The"
            " tombstone keeps them out of the database; their files go with its next batch."
        )
    for use in erasure.versions:
        console.print(
            f"[yellow]{use.version}[/] was trained on {use.train} of the texts, chosen by"
            f" {use.validation}, judged by {use.test}"
            + (" [bold](the champion)[/]" if use.is_champion else "")
        )
    if erasure.versions:
        console.print("Weights cannot forget: train anew and retire these versions.")
    elif erasure.found_any:
        console.print("No model version was trained on any of its texts.")


def main(given: Sequence[str] | None = None) -> int:
    """Erase the sessions that were named, one after the other."""
    parser = argparse.ArgumentParser(description="Forget one person.")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--session", help="a session's id, or the token in its cookie")
    whom.add_argument("--session-file", type=Path, help="a file with one of these a line")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    arguments = parser.parse_args(given)
    try:
        settings = Settings()
        secret = settings.require_secret()
        lines = arguments.session_file.read_text().split() if arguments.session_file else []
        wanted = lines or ([arguments.session] if arguments.session else [])
        if not wanted:
            raise SettingsError("No session was named.")
        # All are checked before the first goes.
        session_ids = [session_id_of(one, secret=secret) for one in wanted]
        with running_database(settings) as url:
            stores = Stores(
                database_url=url,
                spool_dir=settings.spool_dir,
                artifacts=open_store(settings.artifacts_root),
                secret=secret,
                runs_dir=settings.runs_dir,
                cache_dir=settings.cache_dir,
            )
            # Each is tried, and one that fails is told.
            return max(
                [_forget(one, stores=stores, dry_run=arguments.dry_run) for one in session_ids]
            )
    except (HubError, ValidationError, OSError) as error:
        console.print(f"[red]{error}[/] Nothing was removed.")
        return 1


def _forget(session_id: str, *, stores: Stores, dry_run: bool) -> int:
    try:
        erasure = erase_session(
            session_id,
            stores=stores,
            dry_run=dry_run,
            report=lambda line: console.print(f"[dim]· {line}[/]"),
        )
    except ErasureStopped as stopped:
        show(stopped.erasure, dry_run=dry_run)
        console.print(f"[red]{stopped}[/]")
        return 1
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"[red]{error}[/] Nothing of session {session_id} was removed.")
        return 1
    show(erasure, dry_run=dry_run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
