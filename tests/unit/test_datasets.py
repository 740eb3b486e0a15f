"""Dated datasets: a day is there whole or not at all, and erasing people changes it in one step."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.errors import ArtifactError
from store.artifacts import (
    ArtifactExists,
    ArtifactMissing,
    ArtifactStore,
    FolderStore,
    StoreUnavailable,
)
from store.dataset_files import SnapshotFile, write_part
from store.dataset_kinds import INTERACTIONS, LABELS, DatasetKind, without_sessions
from store.datasets import Datasets
from tests.dataset_samples import asked, labelled, table
from tests.samples import utc
from tests.stand_ins.storage import StorageServer

DAY = date(2026, 3, 1)
NEXT_DAY = date(2026, 3, 2)


@pytest.fixture
def datasets(store: ArtifactStore) -> Datasets:
    return Datasets(store)


def write(
    datasets: Datasets, number: int, *tables: pa.Table, kind: DatasetKind = INTERACTIONS
) -> SnapshotFile:
    file = write_part(datasets.store, kind, DAY, number=number, tables=tables)
    assert file is not None
    return file


def publish(
    datasets: Datasets,
    *files: SnapshotFile,
    day: date = DAY,
    kind: DatasetKind = INTERACTIONS,
) -> None:
    datasets.publish(kind, day, files=files, since=utc(2026, 3, 1), watermark=utc(2026, 3, 2))


def read(datasets: Datasets, *, erased: tuple[str, ...] = ()) -> list[str]:
    frame = datasets.read_pandas(INTERACTIONS, first=DAY, last=NEXT_DAY, erased=erased)
    return list(frame["interaction_id"])


def keys(datasets: Datasets, suffix: str = ".parquet") -> list[str]:
    return [key for key in datasets.store.keys("datasets/") if key.endswith(suffix)]


def without(session_id: str) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: without_sessions(rows, {session_id})


def test_a_day_is_read_back_in_order_with_every_value(datasets: Datasets) -> None:
    first = write(datasets, 0, table(asked(1)), table(asked(2, feedback_score=-1)))
    second = write(datasets, 1, table(asked(3, query_text="naïve 🎓 متى")))
    publish(datasets, second, first)
    frame = datasets.read_pandas(INTERACTIONS, first=DAY, last=DAY)
    assert list(frame["interaction_id"]) == ["i1", "i2", "i3"]
    assert frame["query_text"][2] == "naïve 🎓 متى"
    assert frame["feedback_score"].to_list()[1] == -1
    assert frame["alternatives"][0][0] == {"intent": "dining", "confidence": 0.9}
    assert frame["asked_at"][0] == utc(2026, 3, 1, 12)


def test_the_manifest_tells_rows_schema_version_watermark_and_digests(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1), asked(2))))
    manifest = datasets.manifest(INTERACTIONS, DAY)
    assert manifest is not None
    assert (manifest.rows, manifest.schema_version, manifest.revision) == (2, 1, 1)
    assert manifest.watermark == utc(2026, 3, 2)
    assert [len(file.sha256) for file in manifest.files] == [64]


def test_a_day_without_rows_is_a_day(datasets: Datasets) -> None:
    assert write_part(datasets.store, INTERACTIONS, DAY, number=0, tables=[]) is None
    publish(datasets)
    assert datasets.days(INTERACTIONS) == [DAY]
    frame = datasets.read_pandas(INTERACTIONS, first=DAY, last=DAY)
    assert frame.empty
    assert list(frame.columns) == INTERACTIONS.schema.names


def test_a_range_has_both_its_ends(datasets: Datasets) -> None:
    for day in (1, 2, 3, 4):
        publish(datasets, day=date(2026, 3, day))
    assert datasets.days(INTERACTIONS, first=NEXT_DAY, last=date(2026, 3, 3)) == [
        NEXT_DAY,
        date(2026, 3, 3),
    ]


def test_a_day_is_made_once(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1))))
    other = write(datasets, 0, table(asked(2)))
    with pytest.raises(ArtifactExists):
        publish(datasets, other)
    assert read(datasets) == ["i1"]
    assert len(keys(datasets)) == 1, "what the second one wrote is gone"


def test_a_file_that_was_changed_is_not_read(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1))))
    (key,) = keys(datasets)
    found = datasets.store.read(key)
    datasets.store.replace(key, found.content[:-1] + b"x", expected=found.generation)
    with pytest.raises(ArtifactError, match="not the file that was written"):
        read(datasets)


def test_a_file_that_is_gone_is_named(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1))))
    datasets.store.remove(keys(datasets)[0])
    with pytest.raises(ArtifactMissing, match="part-00000"):
        read(datasets)


def test_a_manifest_of_newer_code_is_refused(datasets: Datasets) -> None:
    publish(datasets)
    key = keys(datasets, "manifest.json")[0]
    found = datasets.store.read(key)
    newer = found.content.replace(b'"schema_version": 1', b'"schema_version": 2')
    datasets.store.replace(key, newer, expected=found.generation)
    with pytest.raises(ArtifactError, match="newer code"):
        read(datasets)


class _Killed(FolderStore):
    """A store whose process is killed at the moment when a manifest would be written."""

    def create(self, key: str, content: bytes | Path) -> int:
        if key.endswith("manifest.json"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().create(key, content)


def _snapshot_and_die(root: Path) -> None:
    datasets = Datasets(_Killed(root))
    publish(datasets, write(datasets, 0, table(asked(1))), write(datasets, 1, table(asked(2))))


def test_a_snapshot_killed_before_its_manifest_is_nothing_and_is_taken_anew(
    folder: FolderStore,
) -> None:
    datasets, root = Datasets(folder), folder.root
    killed = multiprocessing.get_context("spawn").Process(target=_snapshot_and_die, args=(root,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(keys(datasets)) == 2, "its files are there"
    assert datasets.days(INTERACTIONS) == []
    assert read(datasets) == []
    publish(datasets, write(datasets, 0, table(asked(1), asked(2))))
    assert read(datasets) == ["i1", "i2"]
    assert len(keys(datasets)) == 1, "what the killed one left is removed"


def test_a_snapshot_that_loses_the_bucket_before_its_manifest_is_nothing_and_is_taken_anew(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    datasets = Datasets(bucket)
    files = [write(datasets, number, table(asked(number))) for number in range(2)]
    storage.fail(status=403, which=lambda one: one.is_upload)
    with pytest.raises(StoreUnavailable):
        publish(datasets, *files)
    assert len(keys(datasets)) == 2, "its files are there"
    assert datasets.days(INTERACTIONS) == []
    publish(datasets, write(datasets, 0, table(asked(1), asked(2))))
    assert read(datasets) == ["i1", "i2"]
    assert len(keys(datasets)) == 1, "what the broken one left is removed"


def test_erased_sessions_are_left_out_when_read(datasets: Datasets) -> None:
    rows = table(asked(1), asked(2, session_id="s2"), asked(3))
    publish(datasets, write(datasets, 0, rows))
    assert read(datasets, erased=("s2",)) == ["i1", "i3"]


def test_an_erased_member_leaves_the_label_of_somebody_else(datasets: Datasets) -> None:
    rows = table(
        labelled(1, session_id="s1", members=[("i1", "s1"), ("i8", "s2"), ("i9", "s3")]),
        labelled(2, session_id="s2", members=[("i2", "s2")]),
        kind=LABELS,
    )
    publish(datasets, write(datasets, 0, rows, kind=LABELS), kind=LABELS)
    frame = datasets.read_pandas(LABELS, first=DAY, last=DAY, erased=["s2"])
    assert list(frame["label_id"]) == [1]
    assert [one["interaction_id"] for one in frame["members"][0]] == ["i1", "i9"]


def test_of_labels_the_newest_day_is_read(datasets: Datasets) -> None:
    one = table(labelled(1, session_id="s1", members=[]), kind=LABELS)
    for day in (DAY, NEXT_DAY):
        file = write_part(datasets.store, LABELS, day, number=0, tables=[one])
        assert file is not None
        publish(datasets, file, day=day, kind=LABELS)
    assert len(datasets.read_pandas(LABELS, first=DAY, last=NEXT_DAY)) == 1


def test_a_rewrite_publishes_a_revision_and_removes_the_old_rows(datasets: Datasets) -> None:
    untouched = write(datasets, 0, table(asked(1)))
    touched = write(datasets, 1, table(asked(2), asked(3, session_id="s2")))
    only_theirs = write(datasets, 2, table(asked(4, session_id="s2")))
    publish(datasets, untouched, touched, only_theirs)
    assert datasets.rewrite(INTERACTIONS, DAY, keep=without("s2")) == 2
    manifest = datasets.manifest(INTERACTIONS, DAY)
    assert manifest is not None
    assert (manifest.revision, manifest.rows, manifest.watermark) == (2, 2, utc(2026, 3, 2))
    assert manifest.files[0] == untouched
    assert read(datasets) == ["i1", "i2"]
    stored = b"".join(datasets.store.read(key).content for key in keys(datasets))
    assert b"s2" not in stored
    assert len(keys(datasets)) == 2


def test_a_rewrite_that_takes_nothing_changes_nothing(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1))))
    before = [datasets.store.read(key) for key in datasets.store.keys("datasets/")]
    assert datasets.rewrite(INTERACTIONS, DAY, keep=without("s2")) == 0
    assert [datasets.store.read(key) for key in datasets.store.keys("datasets/")] == before


def test_a_rewrite_finishes_what_a_killed_one_left(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1))))
    write(datasets, 0, table(asked(1), asked(2, session_id="s2")))
    assert len(keys(datasets)) == 2
    datasets.rewrite(INTERACTIONS, DAY, keep=without("s2"))
    assert len(keys(datasets)) == 1
    assert read(datasets) == ["i1"]


def test_a_rewrite_that_somebody_else_overtakes_begins_anew(datasets: Datasets) -> None:
    publish(datasets, write(datasets, 0, table(asked(1), asked(2, session_id="s2"))))
    others: list[int] = []

    def keep(rows: pa.Table) -> pa.Table:
        if not others:
            others.append(1)
            datasets.rewrite(INTERACTIONS, DAY, keep=without("s1"))
        return without_sessions(rows, {"s2"})

    datasets.rewrite(INTERACTIONS, DAY, keep=keep)
    assert read(datasets) == []
    assert keys(datasets) == []


def test_a_rewrite_needs_a_day(datasets: Datasets) -> None:
    with pytest.raises(ArtifactMissing, match="dt=2026-03-01"):
        datasets.rewrite(INTERACTIONS, DAY, keep=without("s1"))


def test_who_reads_while_a_day_is_rewritten_gets_the_rewritten_files(datasets: Datasets) -> None:
    publish(
        datasets,
        write(datasets, 0, table(asked(1))),
        write(datasets, 1, table(asked(2), asked(3, session_id="s2"))),
        write(datasets, 2, table(asked(4, session_id="s2"))),
    )
    tables = datasets.read_tables(INTERACTIONS, first=DAY, last=DAY)
    found = next(tables)["interaction_id"].to_pylist()
    datasets.rewrite(INTERACTIONS, DAY, keep=without("s2"))
    for rows in tables:
        found += rows["interaction_id"].to_pylist()
    assert found == ["i1", "i2"]
