"""Snapshots from Postgres: every row in exactly one day, whoever writes meanwhile."""

import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from store.artifacts import open_store
from store.database import Connection, connect
from store.dataset_kinds import INTERACTIONS, LABELS
from store.dataset_rows import Part, SnapshotRefused, one_at_a_time, read_watermark
from store.datasets import Datasets
from tests.deployed_database import REPORT, as_user, with_database
from tests.samples import utc
from training.snapshot import Places, SnapshotJob, Taken, WritePart, Written, one_by_one

DAY = date(2026, 3, 1)
TWO_DAYS_LATER = date(2026, 3, 3)


@pytest.fixture
def places(database_url: str, tmp_path: Path) -> Places:
    return Places(database_url, str(tmp_path / "artifacts"))


@pytest.fixture
def datasets(places: Places) -> Datasets:
    return Datasets(open_store(places.store_url))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def job(places: Places, said: list[str]) -> SnapshotJob:
    """Two rows a part; a transaction is seen at once, since nothing else runs here."""
    return SnapshotJob(places, part_rows=2, margin_s=0, report=said.append)


def ask(connection: Connection, text: str, *, at: datetime | None = None, **changes: Any) -> str:
    """Store an interaction; `at` is when it was ingested (default: its transaction's time)."""
    row = {
        "interaction_id": uuid.uuid4().hex,
        "asked_at": at or datetime.now(UTC),
        "session_id": "s1",
        "query_text": text,
        "outcome": "answered",
        **({"ingested_at": at} if at else {}),
        **changes,
    }
    columns, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO interaction_log ({columns}) VALUES ({values})", row)
    return str(row["interaction_id"])


def texts(datasets: Datasets, *, first: date = date.min, last: date = date.max) -> list[str]:
    return list(datasets.read_pandas(INTERACTIONS, first=first, last=last)["query_text"])


def files(datasets: Datasets) -> dict[str, tuple[bytes, int]]:
    found = {key: datasets.store.read(key) for key in datasets.store.keys("datasets/")}
    return {key: (one.content, one.generation) for key, one in found.items()}


@contextmanager
def open_transaction(database_url: str) -> Iterator[Connection]:
    """A transaction that has begun; what is done in it is committed at the end."""
    with psycopg.connect(database_url, application_name="a slow writer") as other:
        other.execute("SELECT 1")
        yield other


def _interactions(taken: list[Taken]) -> list[tuple[date, int, bool]]:
    return [
        (one.manifest.day, one.manifest.rows, one.is_new)
        for one in taken
        if one.manifest.dataset == "interactions"
    ]


def test_a_day_is_what_was_ingested_on_it_in_utc(
    connection: Connection, job: SnapshotJob, datasets: Datasets
) -> None:
    ask(connection, "late on the day", at=utc(2026, 3, 1, 23, 59, 59))
    ask(connection, "first of the next", at=utc(2026, 3, 2))
    ask(connection, "early on the day", at=utc(2026, 3, 1))
    ask(connection, "asked before", at=utc(2026, 3, 1, 5), asked_at=utc(2026, 2, 27))
    assert _interactions(job.take(DAY)) == [(DAY, 3, True)]
    assert texts(datasets) == ["early on the day", "asked before", "late on the day"]
    manifest = datasets.manifest(INTERACTIONS, DAY)
    assert manifest is not None
    assert (manifest.since, manifest.watermark) == (utc(2026, 3, 1), utc(2026, 3, 2))
    assert [file.rows for file in manifest.files] == [2, 1]


def test_every_column_is_kept(connection: Connection, job: SnapshotJob, datasets: Datasets) -> None:
    asked = ask(
        connection,
        "naïve 🎓 متى \t\\ ' \"",
        at=utc(2026, 3, 1, 12, 0, 0, 123456),
        outcome="confused",
        confused_because="ambiguous",
        intent="dining",
        confidence=0.5,
        alternatives=Jsonb([{"intent": "dining", "confidence": 0.5}]),
        result_ids=["a", "b"],
        degraded=["embedder"],
        is_crisis=True,
        model_version="v3",
        embedding_space="space",
        timings_ms=Jsonb({"total": 11, "classify": 4.5}),
        feedback_score=-1,
        feedback_comment="no",
        feedback_at=utc(2026, 3, 1, 13),
    )
    connection.execute("INSERT INTO simulated_sessions (session_id) VALUES ('s1')")
    job.take(DAY)
    (table,) = datasets.read_tables(INTERACTIONS, first=DAY, last=DAY)
    assert table.schema.equals(INTERACTIONS.schema)
    assert table.to_pylist() == [
        {
            "interaction_id": asked,
            "asked_at": utc(2026, 3, 1, 12, 0, 0, 123456),
            "ingested_at": utc(2026, 3, 1, 12, 0, 0, 123456),
            "session_id": "s1",
            "query_text": "naïve 🎓 متى \t\\ ' \"",
            "outcome": "confused",
            "confused_because": "ambiguous",
            "intent": "dining",
            "confidence": 0.5,
            "alternatives": [{"intent": "dining", "confidence": 0.5}],
            "result_ids": ["a", "b"],
            "degraded": ["embedder"],
            "is_crisis": True,
            "model_version": "v3",
            "embedding_space": "space",
            "timings_ms": [("total", 11.0), ("classify", 4.5)],
            "feedback_score": -1,
            "feedback_comment": "no",
            "feedback_at": utc(2026, 3, 1, 13),
            "source": "simulated",
        }
    ]


def test_days_that_lack_a_snapshot_are_taken_too(
    connection: Connection, job: SnapshotJob, datasets: Datasets
) -> None:
    ask(connection, "first", at=utc(2026, 3, 1, 12))
    ask(connection, "third", at=utc(2026, 3, 3, 12))
    taken = job.take(TWO_DAYS_LATER)
    assert [(day.day, rows) for day, rows, _ in _interactions(taken)] == [(1, 1), (2, 0), (3, 1)]
    assert datasets.days(LABELS) == [TWO_DAYS_LATER], "labels are those of now"
    assert texts(datasets, first=date(2026, 3, 2)) == ["third"]


def test_taking_a_day_twice_replaces_nothing(
    connection: Connection, job: SnapshotJob, datasets: Datasets, said: list[str]
) -> None:
    ask(connection, "first", at=utc(2026, 3, 1, 12))
    job.take(DAY)
    before = files(datasets)
    ask(connection, "restored later", at=utc(2026, 3, 1, 13))
    assert _interactions(job.take(DAY)) == [(DAY, 1, False)]
    assert files(datasets) == before
    assert "interactions of 2026-03-01: there already, 1 rows; it stays" in said


def test_two_stores_get_the_same_bytes(
    connection: Connection, job: SnapshotJob, places: Places, tmp_path: Path
) -> None:
    for number in range(5):
        ask(connection, f"question {number}", at=utc(2026, 3, 1, 12))
    other = Places(places.database_url, str(tmp_path / "other"))
    digests = []
    for where in (places, other):
        SnapshotJob(where, part_rows=2, margin_s=0, report=str).take(DAY)
        manifest = Datasets(open_store(where.store_url)).manifest(INTERACTIONS, DAY)
        assert manifest is not None
        digests.append([file.sha256 for file in manifest.files])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3, "five rows of one moment, two a part"


def test_a_row_that_commits_after_the_snapshot_is_in_the_next_one(
    connection: Connection, database_url: str, job: SnapshotJob, datasets: Datasets, said: list[str]
) -> None:
    ask(connection, "before")
    with open_transaction(database_url) as slow:
        ask(connection, "committed while the slow one was open")
        ask(slow, "committed after the snapshot")
        (today,) = _interactions(job.take(so_far=True))
        assert texts(datasets) == ["before"]
        assert any("a slow writer (process" in line for line in said)
    tomorrow = today[0] + timedelta(days=1)
    job.take(tomorrow, so_far=True)
    assert texts(datasets, first=tomorrow) == [
        "committed after the snapshot",
        "committed while the slow one was open",
    ]
    assert len(texts(datasets)) == 3, "each row is in exactly one day"


def test_a_transaction_that_is_open_since_the_day_before_stops_the_snapshot(
    connection: Connection, database_url: str, job: SnapshotJob, datasets: Datasets
) -> None:
    with open_transaction(database_url):
        ask(connection, "something")
        job.take(so_far=True)
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        with pytest.raises(SnapshotRefused, match=r"a slow writer \(process \d+, open since"):
            job.take(tomorrow, so_far=True)
    assert len(datasets.days(INTERACTIONS)) == 1


def test_a_young_transaction_that_nobody_sees_yet_is_waited_for_by_the_margin(
    connection: Connection,
) -> None:
    upto = datetime.now(UTC) + timedelta(days=1)
    watermark = read_watermark(connection, upto=upto, margin_s=60)
    assert timedelta(seconds=59) < datetime.now(UTC) - watermark.at < timedelta(seconds=120)
    assert (watermark.is_over, watermark.held_by) == (False, None)


def test_the_transactions_of_other_databases_hold_up_nothing(
    connection: Connection, database_url: str
) -> None:
    upto = datetime.now(UTC) - timedelta(seconds=1)
    with open_transaction(with_database(database_url, "postgres")):
        assert read_watermark(connection, upto=upto, margin_s=0).at == upto


def test_who_may_not_see_other_transactions_takes_no_snapshot(
    database_url: str,
) -> None:
    with (
        connect(as_user(database_url, REPORT), vectors=False) as connection,
        open_transaction(database_url),
        pytest.raises(SnapshotRefused, match="GRANT pg_read_all_stats"),
    ):
        read_watermark(connection, upto=datetime.now(UTC), margin_s=0)


def test_a_day_that_is_not_over_is_refused(connection: Connection, job: SnapshotJob) -> None:
    ask(connection, "something")
    with pytest.raises(SnapshotRefused, match="not over"):
        job.take(datetime.now(UTC).date())


def test_a_day_before_the_last_one_is_refused(connection: Connection, job: SnapshotJob) -> None:
    job.take(TWO_DAYS_LATER)
    with pytest.raises(SnapshotRefused, match="There is none of 2026-03-01"):
        job.take(DAY)


def test_one_snapshot_is_taken_at_a_time(
    connection: Connection, job: SnapshotJob, datasets: Datasets
) -> None:
    with one_at_a_time(connection), pytest.raises(SnapshotRefused, match="being taken just now"):
        job.take(DAY)
    assert datasets.days(INTERACTIONS) == []


def test_erased_sessions_are_not_in_a_snapshot(
    connection: Connection, job: SnapshotJob, datasets: Datasets
) -> None:
    ask(connection, "theirs", at=utc(2026, 3, 1, 12), session_id="gone")
    ask(connection, "ours", at=utc(2026, 3, 1, 12))
    connection.execute("INSERT INTO erased_sessions (session_id) VALUES ('gone')")
    job.take(DAY)
    assert texts(datasets) == ["ours"]


def test_who_is_erased_while_a_snapshot_is_taken_is_taken_out_of_it(
    connection: Connection, database_url: str, places: Places, datasets: Datasets
) -> None:
    ask(connection, "theirs", at=utc(2026, 3, 1, 12), session_id="gone")
    ask(connection, "ours", at=utc(2026, 3, 1, 12))

    def erase_meanwhile(parts: Sequence[Part], write: WritePart) -> Iterator[Written]:
        with psycopg.connect(database_url) as other:
            other.execute("INSERT INTO erased_sessions VALUES ('gone') ON CONFLICT DO NOTHING")
        return one_by_one(parts, write)

    SnapshotJob(places, run=erase_meanwhile, report=str).take(DAY)
    assert texts(datasets) == ["ours"]
    stored = [content for content, _ in files(datasets).values()]
    assert not any(b"gone" in content for content in stored)


def test_an_empty_log_has_empty_days(job: SnapshotJob, datasets: Datasets) -> None:
    assert _interactions(job.take(DAY)) == [(DAY, 0, True)]
    assert texts(datasets) == []


def label(
    connection: Connection, item: str, *, reviewer: str, intent: str, role: str = "reviewer"
) -> None:
    connection.execute(
        "INSERT INTO reviewers (name, role) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (reviewer, role),
    )
    connection.execute(
        "INSERT INTO labels (item_id, reviewer, role, intent, model_version, model_intent,"
        " model_confidence, source) VALUES (%s, %s, %s, %s, 'v3', 'housing', 0.4, 'real')",
        (item, reviewer, role, intent),
    )


def put_item(connection: Connection, item: str, *, members: dict[str, str]) -> None:
    connection.execute(
        "INSERT INTO review_items"
        " (item_id, query_text, reason, priority, asked_at, outcome, source)"
        " VALUES (%s, 'where is food', 'doubtful', 1, now(), 'confused', 'real')",
        (item,),
    )
    for interaction_id, session_id in members.items():
        connection.execute(
            "INSERT INTO review_members (interaction_id, item_id, session_id) VALUES (%s, %s, %s)",
            (interaction_id, item, session_id),
        )


def test_labels_in_force_are_kept_with_who_said_what_and_what_is_verified(
    connection: Connection, job: SnapshotJob, datasets: Datasets
) -> None:
    put_item(connection, "i1", members={"i1": "s1", "i2": "s2", "i3": "gone"})
    put_item(connection, "i4", members={"i4": "s4"})
    put_item(connection, "i5", members={"i5": "gone"})
    for reviewer in ("ada", "bob"):
        label(connection, "i1", reviewer=reviewer, intent="dining")
    label(connection, "i4", reviewer="ada", intent="unclear")
    label(connection, "i4", reviewer="bob", intent="dining")
    label(connection, "i5", reviewer="bob", intent="dining")
    connection.execute(
        "UPDATE labels SET retracted_at = now() WHERE item_id = 'i4' AND reviewer = 'bob'"
    )
    connection.execute("INSERT INTO erased_sessions (session_id) VALUES ('gone')")
    job.take(DAY)
    frame = datasets.read_pandas(LABELS, first=DAY, last=DAY)
    found = frame[["item_id", "session_id", "reviewer", "intent", "verified_intent"]]
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["i1", "s1", "ada", "dining", "dining"],
        ["i1", "s1", "bob", "dining", "dining"],
        ["i4", "s4", "ada", "unclear", None],
    ]
    assert [one["interaction_id"] for one in frame["members"][0]] == ["i1", "i2"]
    assert frame["verified_by"][0] == "agreement"
    manifest = datasets.manifest(LABELS, DAY)
    assert manifest is not None
    assert manifest.since is None


def test_whatever_writers_do_meanwhile_every_row_is_in_exactly_one_day(
    database_url: str, places: Places, datasets: Datasets
) -> None:
    written: list[str] = []
    ended = threading.Event()

    def keep_writing(seed: int) -> None:
        draw = random.Random(seed)
        with psycopg.connect(database_url) as connection:
            while not ended.is_set():
                with connection.transaction():
                    asked = ask(connection, "something")
                    time.sleep(draw.random() ** 3)  # some transactions stay open for long
                written.append(asked)

    writers = [threading.Thread(target=keep_writing, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    job = SnapshotJob(places, part_rows=5, margin_s=0.2, report=str)
    today = datetime.now(UTC).date()
    days = 0
    while len(written) < 60:
        with suppress(SnapshotRefused):  # somebody is open since the last one
            job.take(today + timedelta(days=days), so_far=True)
            days += 1
        time.sleep(0.2)
    ended.set()
    for writer in writers:
        writer.join()
    time.sleep(0.3)
    job.take(today + timedelta(days=days), so_far=True)
    found = datasets.read_pandas(INTERACTIONS, first=today, last=date.max)["interaction_id"]
    assert days > 3
    assert sorted(found) == sorted(written)
