"""One day's files in the artifact store: what they are called, written and read, and the manifest.

datasets/NAME/dt=YYYY-MM-DD/part-NNNNN-ATTEMPT.parquet    the rows, in order
datasets/NAME/dt=YYYY-MM-DD/manifest.json                 written last: without it there is no day
"""

import hashlib
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from io import BufferedReader
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from contracts.errors import ArtifactError
from store.artifacts import ArtifactMissing, ArtifactStore
from store.dataset_kinds import DatasetKind

ROW_GROUP_ROWS: Final = 10_000
"""Rows that are in memory at once, when written and when read."""

MANIFEST: Final = "manifest.json"


class SnapshotFile(BaseModel):
    """One Parquet file of a day. Its number says which of the day's parts it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    name: str
    rows: int
    bytes: int
    sha256: str


class SnapshotManifest(BaseModel):
    """What a day consists of. `revision` counts from 1 and rises when people are erased.

    The rows are those that were ingested in [since, watermark), and for a dataset of whole states
    those that were there at the watermark (`since` is None).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    day: date
    revision: int = 1
    schema_version: int
    rows: int
    since: datetime | None
    watermark: datetime
    files: tuple[SnapshotFile, ...]
    made_at: datetime

    def content(self) -> bytes:
        """Return the manifest as its file holds it."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def folder_of(kind: DatasetKind, day: date | None = None) -> str:
    """Return the prefix of a dataset's keys, or of one of its days'."""
    return f"datasets/{kind.name}/" + (f"dt={day:%Y-%m-%d}/" if day else "")


def write_part(
    store: ArtifactStore,
    kind: DatasetKind,
    day: date,
    *,
    number: int,
    tables: Iterable[pa.Table],
) -> SnapshotFile | None:
    """Write one file of a day; None, and no file, when there is no row to write.

    Memory holds one table at a time. Nobody reads the file before a manifest names it: its name
    is this try's own, so that a broken try and its repetition never meet.
    """
    name = f"part-{number:05d}-{secrets.token_hex(4)}.parquet"
    with tempfile.TemporaryDirectory(prefix="hub-part-") as folder:
        draft, rows = Path(folder) / name, 0
        with pq.ParquetWriter(draft, kind.schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                rows += table.num_rows
        if not rows:
            return None
        with draft.open("rb") as file:
            record = SnapshotFile(
                number=number,
                name=name,
                rows=rows,
                bytes=draft.stat().st_size,
                sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            )
        store.create(folder_of(kind, day) + name, draft)
    return record


def read_part(
    store: ArtifactStore, kind: DatasetKind, day: date, file: SnapshotFile
) -> Iterator[pa.Table]:
    """Yield one file's rows, a row group at a time.

    Raises ArtifactMissing when it is not there, ArtifactError when it is not what was written.
    """
    key = folder_of(kind, day) + file.name
    with _opened(store, key) as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
            raise ArtifactError(
                f"{key} is not the file that was written; nothing of it was read. Restore it."
            )
        with pq.ParquetFile(content) as parquet:
            for number in range(parquet.num_row_groups):
                yield parquet.read_row_group(number)


@contextmanager
def _opened(store: ArtifactStore, key: str) -> Iterator[BufferedReader]:
    """Open an object for reading; it stays readable when it is removed meanwhile."""
    with ExitStack() as stack:
        path = store.local(key)
        if path is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-part-"))
            path = Path(folder) / "part.parquet"
            store.fetch(key, path)
        try:
            content = stack.enter_context(path.open("rb"))
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{store.url}/{key}.") from error
        yield content
