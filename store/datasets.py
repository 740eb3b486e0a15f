"""Dated datasets: each day is written once, and read by a range of days.

A reader takes only the files that a day's manifest names, and only as they were written. Erasing
people publishes another revision of the manifest, in one step.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Final

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from contracts.errors import ArtifactError
from store.artifacts import ArtifactChanged, ArtifactExists, ArtifactMissing, ArtifactStore
from store.dataset_files import (
    MANIFEST,
    SnapshotFile,
    SnapshotManifest,
    folder_of,
    read_part,
    write_part,
)
from store.dataset_kinds import KINDS, DatasetKind, without_sessions

_REWRITE_TRIES: Final = 5
_MANIFEST_KEY: Final = re.compile(rf".*/dt=(\d{{4}}-\d\d-\d\d)/{re.escape(MANIFEST)}")

Keep = Callable[[pa.Table], pa.Table]
"""Returns what stays of a table: the same columns, in the same order."""


class Datasets:
    """Reads and writes the days of one artifact store."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    def days(
        self, kind: DatasetKind, *, first: date | None = None, last: date | None = None
    ) -> list[date]:
        """Return the days that are complete, oldest first, from `first` to `last` inclusive."""
        found = (_MANIFEST_KEY.fullmatch(key) for key in self.store.keys(folder_of(kind)))
        days = sorted(date.fromisoformat(match[1]) for match in found if match)
        return [day for day in days if (first or day) <= day <= (last or day)]

    def manifest(self, kind: DatasetKind, day: date) -> SnapshotManifest | None:
        """Return a day's manifest, or None when there is no such day.

        Raises ArtifactError when it cannot be read, or was written by newer code.
        """
        return found[0] if (found := self._manifest(kind, day)) else None

    def publish(
        self,
        kind: DatasetKind,
        day: date,
        *,
        files: Iterable[SnapshotFile],
        since: datetime | None,
        watermark: datetime,
    ) -> SnapshotManifest:
        """Make a day of its files, in one step, and remove what broken tries left beside them.

        Raises ArtifactExists when somebody else made that day meanwhile; that one stays.
        """
        kept = tuple(sorted(files, key=lambda file: file.number))
        manifest = SnapshotManifest(
            dataset=kind.name,
            day=day,
            schema_version=kind.version,
            rows=sum(file.rows for file in kept),
            since=since,
            watermark=watermark,
            files=kept,
            made_at=datetime.now(UTC),
        )
        # Listed before, removed after: what a later writer puts there is not ours to remove.
        left = self._unnamed(kind, day, named=kept)
        try:
            self.store.create(folder_of(kind, day) + MANIFEST, manifest.content())
        except ArtifactExists:
            for file in kept:
                self.store.remove(folder_of(kind, day) + file.name)
            raise
        for key in left:
            self.store.remove(key)
        return manifest

    def rewrite(self, kind: DatasetKind, day: date, *, keep: Keep) -> int:
        """Publish a revision of a day with only what `keep` returns; return the rows that went.

        Readers see the old revision or the new one; then the old files are removed. Files of
        which everything stays are not touched. Done again, it finishes what a killed one left.
        Raises ArtifactMissing when there is no such day.
        """
        for _ in range(_REWRITE_TRIES):
            found = self._manifest(kind, day)
            if found is None:
                raise ArtifactMissing(f"{self.store.url}/{folder_of(kind, day)}{MANIFEST}.")
            before, generation = found
            try:
                rewritten = [self._rewrite(kind, day, file, keep=keep) for file in before.files]
            except ArtifactMissing:
                if self._manifest(kind, day) == found:
                    raise
                continue  # somebody else's rewrite removed it
            files = tuple(file for file in rewritten if file is not None)
            left = self._unnamed(kind, day, named=files)
            if files == before.files and not left:
                return 0
            after = before.model_copy(
                update={
                    "revision": before.revision + 1,
                    "rows": sum(file.rows for file in files),
                    "files": files,
                }
            )
            try:
                # Also when files are only left over: who writes them just now must begin anew.
                self.store.replace(
                    folder_of(kind, day) + MANIFEST, after.content(), expected=generation
                )
            except ArtifactChanged:
                continue
            for key in left:
                self.store.remove(key)
            return before.rows - after.rows
        raise ArtifactChanged(f"{folder_of(kind, day)} changes all the time; try again.")

    def files(
        self, kind: DatasetKind, *, first: date, last: date
    ) -> list[tuple[date, SnapshotFile]]:
        """Return the files that hold a range of days, in order.

        Of a dataset of whole states that is the newest day alone.
        """
        days = self.days(kind, first=first, last=last)
        return [
            (day, file)
            for day in (days[-1:] if kind.is_whole else days)
            if (manifest := self.manifest(kind, day))
            for file in manifest.files
        ]

    def read_file(
        self, kind: DatasetKind, day: date, file: SnapshotFile, *, erased: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """Yield one file's rows without those of the sessions `erased`, a row group at a time.

        When it was rewritten meanwhile, the rewritten one is read. Raises ArtifactError for a file
        that is missing or not the one that was written.
        """
        tables = read_part(self.store, kind, day, file)
        try:
            first = next(tables, None)
        except ArtifactMissing:
            manifest = self.manifest(kind, day)
            if manifest is None or file in manifest.files:
                raise
            for other in manifest.files:
                if other.number == file.number:
                    yield from self.read_file(kind, day, other, erased=erased)
            return
        if first is not None:
            yield without_sessions(first, erased)
        for table in tables:
            yield without_sessions(table, erased)

    def read_tables(
        self, kind: DatasetKind, *, first: date, last: date, erased: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """Yield the rows of the days from `first` to `last` inclusive, some thousands at a time.

        `erased` are the sessions of which nothing is read: those in the table `erased_sessions`.
        Of a dataset of whole states only the newest day is read. Raises as `read_file` does.
        """
        for day, file in self.files(kind, first=first, last=last):
            yield from self.read_file(kind, day, file, erased=erased)

    def read_pandas(
        self, kind: DatasetKind, *, first: date, last: date, erased: Collection[str] = ()
    ) -> pd.DataFrame:
        """Return what `read_tables` yields as one frame; without rows it still has its columns."""
        tables = list(self.read_tables(kind, first=first, last=last, erased=erased))
        frame: pd.DataFrame = pa.concat_tables(tables or [kind.schema.empty_table()]).to_pandas()
        return frame

    def _rewrite(
        self, kind: DatasetKind, day: date, file: SnapshotFile, *, keep: Keep
    ) -> SnapshotFile | None:
        if all(keep(table).equals(table) for table in read_part(self.store, kind, day, file)):
            return file
        kept = (keep(table) for table in read_part(self.store, kind, day, file))
        return write_part(self.store, kind, day, number=file.number, tables=kept)

    def _unnamed(self, kind: DatasetKind, day: date, *, named: Iterable[SnapshotFile]) -> list[str]:
        """Return the keys of a day that belong to no file of it: what broken tries left."""
        folder = folder_of(kind, day)
        known = {folder + MANIFEST, *(folder + file.name for file in named)}
        return [key for key in self.store.keys(folder) if key not in known]

    def _manifest(self, kind: DatasetKind, day: date) -> tuple[SnapshotManifest, int] | None:
        key = folder_of(kind, day) + MANIFEST
        try:
            artifact = self.store.read(key)
            manifest = SnapshotManifest.model_validate_json(artifact.content)
        except ArtifactMissing:
            return None
        except ValidationError as error:
            raise ArtifactError(f"{key} cannot be read: {error}") from error
        if manifest.schema_version > KINDS[kind.name].version:
            raise ArtifactError(
                f"{key} was written by newer code (schema {manifest.schema_version})."
            )
        return manifest, artifact.generation
