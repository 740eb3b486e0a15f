"""Forgetting one person: everything that came from a session, in every store, and what is left.

The order is what makes it safe to stop anywhere and begin again: first the tombstone, which keeps
rows on their way out; then the copies, found by the texts that the database still has; the
database last.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
import pyarrow.compute as pc

from contracts.errors import HubError
from contracts.text import digest
from store.artifacts import ArtifactStore
from store.database import Connection, connect
from store.dataset_kinds import KINDS, DatasetKind, without_sessions
from store.dataset_rows import one_at_a_time
from store.datasets import Datasets
from store.erased_examples import VersionUse, erase_examples, own_digests, versions_with
from store.erased_folders import erase_from_folders
from store.erased_rows import bury, count_rows, erase_rows, require_tombstones, texts_of
from store.identity import is_interaction_of
from store.interactions import Row
from store.registry import Registry
from store.spool import erase_spooled, spooled

TOMBSTONE: Final = "erased_sessions: tombstone set"

LIVE_SPOOL_WITHIN_S: Final = 10.0
"""Replicas that live store what they have within a second, unless the database is away."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a person's texts may lie. Redis is none: its keys are HMACs, its values vectors."""

    database_url: str
    spool_dir: Path
    artifacts: ArtifactStore
    secret: bytes
    runs_dir: Path
    """Where retrainings leave what they worked on."""
    cache_dir: Path
    """Where this machine keeps copies of versions that are in a bucket."""


@dataclass(slots=True)
class Erasure:
    """What was removed, or would be: (place, what, how many), in the order in which it went."""

    session_id: str
    removed: list[tuple[str, str, int]] = field(default_factory=list)
    versions: list[VersionUse] = field(default_factory=list)
    live_spool_rows: int = 0
    """Rows that wait with replicas that live; the tombstone keeps them out of the database."""

    @property
    def found_any(self) -> bool:
        return any(count for _, what, count in self.removed if what != TOMBSTONE)


class ErasureStopped(HubError):
    """The erasure stopped halfway; run it again, it goes on where it stopped."""

    def __init__(self, detail: str, *, erasure: Erasure) -> None:
        super().__init__(detail)
        self.erasure = erasure


def erase_session(
    session_id: str, *, stores: Stores, dry_run: bool = False, report: Report = print
) -> Erasure:
    """Erase a session everywhere, or with `dry_run` only count. Doing it again is harmless.

    Raises DatabaseUnavailable, SchemaMismatch and SnapshotRefused before anything was removed, and
    ErasureStopped, which says what was removed and what was not, after.
    """
    erasure = Erasure(session_id)
    with connect(stores.database_url, vectors=False) as connection:
        require_tombstones(connection)
        # A snapshot that is being taken would be written of what goes.
        with one_at_a_time(connection), _telling(erasure):
            _erase(erasure, connection, stores=stores, dry_run=dry_run, report=report)
    return erasure


def _erase(
    erasure: Erasure, connection: Connection, *, stores: Stores, dry_run: bool, report: Report
) -> None:
    session_id = erasure.session_id
    datasets = Datasets(stores.artifacts)
    registry = Registry(stores.artifacts)
    is_theirs = partial(_is_theirs, session_id=session_id, secret=stores.secret)
    owns = partial(is_interaction_of, session_id=session_id, secret=stores.secret)
    if not dry_run:
        report("setting the tombstone: nothing of this session is stored from now on")
        is_new = bury(connection, session_id)
        erasure.removed.append(("database", TOMBSTONE, int(is_new)))

    report("collecting what the session asked")
    texts = texts_of(connection, session_id)
    waiting = spooled(stores.spool_dir, is_theirs=is_theirs)
    texts |= {str(row["query_text"]) for row in waiting if "query_text" in row}
    rows_by_day: dict[tuple[DatasetKind, date], int] = {}
    for kind in KINDS.values():
        for day in datasets.days(kind):
            asked = _asked(datasets, kind, day, session_id=session_id)
            rows_by_day[kind, day] = len(asked)
            texts |= set(asked)
    # What the project wrote itself, and somebody typed too, tells of nobody.
    digests = {digest(text) for text in texts} - own_digests()

    report("model versions: splits and test sets")
    erasure.versions = versions_with(registry, stores.artifacts, digests)
    for use in erasure.versions:  # said at once: when the splits are rewritten, nobody knows it
        report(f"{use.version} was trained on {use.train} of the texts")
    for key, entries in erase_examples(
        registry, stores.artifacts, digests, dry_run=dry_run
    ).items():
        erasure.removed.append(("models", key, entries))
    for key, entries in erase_from_folders(stores.runs_dir, digests, dry_run=dry_run).items():
        erasure.removed.append(("retrainings", key, entries))
    for key, entries in erase_from_folders(stores.cache_dir, digests, dry_run=dry_run).items():
        erasure.removed.append(("copies here", key, entries))

    report("snapshots")
    keep = partial(without_sessions, erased={session_id})
    for (kind, day), rows in rows_by_day.items():
        if not dry_run:
            datasets.rewrite(kind, day, keep=keep)
        erasure.removed.append(("snapshots", f"{kind.name}/dt={day}", rows))

    report("spool")
    erasure.live_spool_rows = len(spooled(stores.spool_dir, is_theirs=is_theirs))
    if dry_run:
        erasure.removed.append(("spool", "rows", erasure.live_spool_rows))
    else:
        erasure.removed.append(
            ("spool", "rows", erase_spooled(stores.spool_dir, is_theirs=is_theirs))
        )
        erasure.live_spool_rows = _wait_for_replicas(stores.spool_dir, is_theirs=is_theirs)

    report("database")
    rows_by_table = (count_rows if dry_run else erase_rows)(connection, session_id, is_theirs=owns)
    erasure.removed += [("database", table, rows) for table, rows in rows_by_table.items()]


def _asked(datasets: Datasets, kind: DatasetKind, day: date, *, session_id: str) -> list[str]:
    """Return the session's texts in one day's snapshot, one for each row."""
    return [
        text
        for table in datasets.read_tables(kind, first=day, last=day)
        for text in table.filter(pc.equal(table["session_id"], session_id))[
            "query_text"
        ].to_pylist()
    ]


@contextmanager
def _telling(erasure: Erasure) -> Iterator[None]:
    """Turn an error into one that says what is gone, and what is not."""
    try:
        yield
    except (HubError, psycopg.Error, OSError) as error:
        done = [f"{what} ({count})" for _, what, count in erasure.removed if count]
        raise ErasureStopped(
            f"Removed: {', '.join(done) or 'nothing'}. Not removed: the rest, the database's rows"
            f" among it. The reason: {' '.join(str(error).split()) or type(error).__name__}",
            erasure=erasure,
        ) from error


def _is_theirs(kind: str, row: Row, *, session_id: str, secret: bytes) -> bool:
    if row.get("session_id") is not None:
        return bool(row["session_id"] == session_id)
    # A thumb that older code wrote names no session; its id proves whose it is.
    return is_interaction_of(str(row["interaction_id"]), session_id=session_id, secret=secret)


def _wait_for_replicas(root: Path, *, is_theirs: Callable[[str, Row], bool]) -> int:
    until_s = time.monotonic() + LIVE_SPOOL_WITHIN_S
    while (left := len(spooled(root, is_theirs=is_theirs))) and time.monotonic() < until_s:
        time.sleep(0.1)
    return left
