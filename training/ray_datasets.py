"""The datasets and Ray Data: parts written by tasks of a cluster, a range of days read by them."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import TaskPoolStrategy
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from store.artifacts import open_store
from store.dataset_files import SnapshotFile
from store.dataset_kinds import KINDS, DatasetKind
from store.dataset_rows import Part
from store.datasets import Datasets
from training.snapshot import WritePart, Written

TASKS = 2
"""Parts that are written at once: each holds a connection and some hundred megabytes."""

CPUS_A_TASK = 0.1
"""A share small enough to fit beside the replicas and a training."""

NICENESS = 10
"""Answers come first."""


def run_on_ray(parts: Sequence[Part], write: WritePart) -> Iterator[Written]:
    """Write the parts as tasks of the cluster that this process is connected to."""
    if not parts:
        return
    chosen = tuple(parts)

    def write_number(row: dict[str, Any]) -> dict[str, Any]:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        written = write(chosen[row["id"]])
        file = written.file.model_dump_json() if written.file else ""
        return {"file": file, "peak_rss_bytes": written.peak_rss_bytes}

    numbers = ray.data.range(len(chosen), override_num_blocks=len(chosen))
    written = numbers.map(
        write_number, compute=TaskPoolStrategy(size=min(TASKS, len(chosen))), num_cpus=CPUS_A_TASK
    )
    for row in written.iter_rows():
        file = SnapshotFile.model_validate_json(row["file"]) if row["file"] else None
        yield Written(file, row["peak_rss_bytes"])


def read_ray(
    store_url: str,
    kind: DatasetKind,
    *,
    first: date,
    last: date,
    erased: Collection[str] = (),
) -> ray.data.Dataset:
    """Return the rows of the days from `first` to `last` inclusive as a Ray dataset.

    As Datasets.read_tables: `erased` sessions are left out, and of labels the newest day is read.
    Each file is read, and its digest checked, by a task of its own when the rows are needed.
    """
    files = Datasets(open_store(store_url)).files(kind, first=first, last=last)
    if not files:
        nothing: ray.data.Dataset = ray.data.from_arrow(kind.schema.empty_table())
        return nothing
    source = _Files(store_url, kind, files, erased=frozenset(erased))
    rows: ray.data.Dataset = ray.data.read_datasource(
        source, override_num_blocks=len(files), num_cpus=CPUS_A_TASK
    )
    return rows


class _Files(Datasource):
    """Files of a dataset as a source of blocks: one task a file, one block a row group."""

    def __init__(
        self,
        store_url: str,
        kind: DatasetKind,
        files: Sequence[tuple[date, SnapshotFile]],
        *,
        erased: frozenset[str],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._store_url = store_url
        self._kind = kind
        self._files = files
        self._erased = erased

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        return [
            ReadTask(
                partial(_read, self._store_url, self._kind.name, day, file, self._erased),
                BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None),
                schema=self._kind.schema,
                per_task_row_limit=per_task_row_limit,
            )
            for day, file in self._files
        ]


def _read(
    store_url: str, name: str, day: date, file: SnapshotFile, erased: frozenset[str]
) -> Iterable[pa.Table]:
    datasets = Datasets(open_store(store_url))
    return datasets.read_file(KINDS[name], day, file, erased=erased)
