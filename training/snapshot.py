"""Take snapshots: each day's interactions and the current labels, from Postgres to the datasets.

A day holds what was ingested since the watermark of the day before, so that every row is in exactly
one day: one that commits late, when its own day is written already, is in the next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from store.artifacts import open_store
from store.database import Connection, connect
from store.dataset_files import SnapshotFile, SnapshotManifest, write_part
from store.dataset_kinds import INTERACTIONS, KINDS, LABELS, DatasetKind, without_sessions
from store.dataset_rows import (
    MARGIN_S,
    PART_ROWS,
    Part,
    SnapshotRefused,
    day_start,
    first_day,
    frozen,
    looking_at,
    one_at_a_time,
    plan_parts,
    read_erased,
    read_rows,
    read_watermark,
)
from store.datasets import Datasets

_ONE_DAY = timedelta(days=1)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Places:
    """From where to where: the database, and the artifact store."""

    database_url: str
    store_url: str


@dataclass(frozen=True, slots=True)
class Written:
    """One part that was written (`file` is None: it had no rows), and by how large a process."""

    file: SnapshotFile | None
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Taken:
    """One day of one dataset; `is_new` says that this run made it, the others were there."""

    manifest: SnapshotManifest
    is_new: bool
    peak_rss_bytes: int = 0


WritePart = Callable[[Part], Written]
Run = Callable[[Sequence[Part], WritePart], Iterable[Written]]
"""Writes the parts, in any order and anywhere: here one by one, or on a cluster."""


def one_by_one(parts: Sequence[Part], write: WritePart) -> Iterator[Written]:
    """Write the parts in this process."""
    return map(write, parts)


@dataclass(frozen=True, slots=True)
class SnapshotJob:
    """Takes snapshots: where from and to, who writes the parts, and who hears how far it is."""

    places: Places
    run: Run = one_by_one
    part_rows: int = PART_ROWS
    margin_s: float = MARGIN_S
    report: Report = print

    def take(self, day: date | None = None, *, so_far: bool = False) -> list[Taken]:
        """Take those of `day` (default: yesterday, UTC) and of the days before that lack one.

        The labels are those of now, so only `day` gets them. What is there already stays as it is.
        `so_far` takes a day that is not over (default: today): what comes later on it is in the
        next day's. Raises SnapshotRefused when nothing can be taken, ArtifactError and
        psycopg.Error; days that were written before that stay.
        """
        datasets = Datasets(open_store(self.places.store_url))
        with connect(self.places.database_url) as connection, one_at_a_time(connection):
            chosen = day or _default_day(connection, so_far=so_far)
            taken = [
                self._there(datasets.manifest(INTERACTIONS, due))
                or self._interactions(
                    datasets, connection, day=due, so_far=so_far and due == chosen
                )
                for due in _due_days(datasets, connection, day=chosen)
            ]
            labels = self._there(datasets.manifest(LABELS, chosen))
            return [*taken, labels or self._labels(datasets, connection, day=chosen)]

    def _there(self, known: SnapshotManifest | None) -> Taken | None:
        if known is None:
            return None
        self.report(f"{known.dataset} of {known.day}: there already, {known.rows:,} rows; it stays")
        return Taken(known, is_new=False)

    def _interactions(
        self, datasets: Datasets, connection: Connection, *, day: date, so_far: bool
    ) -> Taken:
        since = _since(datasets, day)
        # Asked before the rows are looked at: who commits in between is seen.
        watermark = read_watermark(
            connection, upto=day_start(day + _ONE_DAY), margin_s=self.margin_s
        )
        if not (watermark.is_over or so_far):
            raise SnapshotRefused(
                f"{day} is not over (UTC). Take it tomorrow, or what is there now with --so-far:"
                " the rest of it is then in the next day's."
            )
        if watermark.at <= since:
            raise SnapshotRefused(
                f"Nothing of {day} is sure to be complete:"
                f" {watermark.held_by or 'it has only just begun'}."
            )
        if watermark.held_by is not None:
            self.report(
                f"what was ingested after {watermark.at:%Y-%m-%d %H:%M:%S} UTC goes into the next"
                f" day's: a transaction is still open, that of {watermark.held_by}"
            )
        with frozen(connection) as (snapshot, _):
            erased = read_erased(connection)
            parts = plan_parts(
                connection, since=since, watermark=watermark.at, part_rows=self.part_rows
            )
            self.report(f"interactions of {day}: {len(parts)} parts")
            written = self._write(parts, day=day, snapshot=snapshot)
        taken = _publish(
            datasets, INTERACTIONS, written, day=day, since=since, watermark=watermark.at
        )
        return _without_those_erased_meanwhile(taken, datasets, connection, before=erased)

    def _labels(self, datasets: Datasets, connection: Connection, *, day: date) -> Taken:
        with frozen(connection) as (snapshot, now):
            erased = read_erased(connection)
            self.report(f"labels of {day}: those in force now")
            written = self._write([Part(LABELS)], day=day, snapshot=snapshot)
        taken = _publish(
            datasets, LABELS, written, day=day, since=None, watermark=now.astimezone(UTC)
        )
        return _without_those_erased_meanwhile(taken, datasets, connection, before=erased)

    def _write(self, parts: Sequence[Part], *, day: date, snapshot: str) -> list[Written]:
        write = partial(_write, day=day, snapshot=snapshot, places=self.places)
        written = []
        for number, one in enumerate(self.run(parts, write), start=1):
            written.append(one)
            if one.file is not None:
                self.report(
                    f"  {number} of {len(parts)}: {one.file.rows:,} rows,"
                    f" {one.file.bytes / 1e6:.1f} MB, peak RSS {one.peak_rss_bytes / 2**20:.0f} MiB"
                )
        return written


def _default_day(connection: Connection, *, so_far: bool) -> date:
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    today: date = row[0].astimezone(UTC).date()
    return today if so_far else today - _ONE_DAY


def _due_days(datasets: Datasets, connection: Connection, *, day: date) -> list[date]:
    days = datasets.days(INTERACTIONS)
    if day in days:
        return [day]
    if days and day < days[-1]:
        raise SnapshotRefused(
            f"There is none of {day}, but one of {days[-1]}, which has what {day} left;"
            " days are taken in their order."
        )
    first = days[-1] + _ONE_DAY if days else min(first_day(connection) or day, day)
    return [first + number * _ONE_DAY for number in range((day - first).days + 1)]


def _since(datasets: Datasets, day: date) -> datetime:
    days = datasets.days(INTERACTIONS)
    last = datasets.manifest(INTERACTIONS, days[-1]) if days else None
    return last.watermark if last else day_start(day)


def _publish(
    datasets: Datasets,
    kind: DatasetKind,
    written: Sequence[Written],
    *,
    day: date,
    since: datetime | None,
    watermark: datetime,
) -> Taken:
    files = [one.file for one in written if one.file is not None]
    manifest = datasets.publish(kind, day, files=files, since=since, watermark=watermark)
    peak_rss_bytes = max((one.peak_rss_bytes for one in written), default=0)
    return Taken(manifest, is_new=True, peak_rss_bytes=peak_rss_bytes)


def _without_those_erased_meanwhile(
    taken: Taken, datasets: Datasets, connection: Connection, *, before: frozenset[str]
) -> Taken:
    """Take out whom an erasure could not: it looked for the day before the day was there."""
    erased = read_erased(connection) - before
    kind, day = KINDS[taken.manifest.dataset], taken.manifest.day
    if not erased or not datasets.rewrite(kind, day, keep=partial(without_sessions, erased=erased)):
        return taken
    manifest = datasets.manifest(kind, day)
    assert manifest is not None, "it was published a moment ago"
    return replace(taken, manifest=manifest)


def _write(part: Part, *, day: date, snapshot: str, places: Places) -> Written:
    store = open_store(places.store_url)
    with connect(places.database_url) as connection, looking_at(connection, snapshot):
        tables = read_rows(connection, part)
        file = write_part(store, part.kind, day, number=part.number, tables=tables)
    return Written(file, peak_rss_bytes())


def peak_rss_bytes() -> int:
    """Return the largest resident set that this process has had."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
