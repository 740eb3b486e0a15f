"""How a snapshot grows: `python -m benchmarks.snapshot [--rows 100000 1000000]`.

Fills a Postgres of its own with generated interactions by COPY, one day a size, takes each day's
snapshot with Ray Data, reads it back, and prints time, bytes and peak resident sets. Exit status 1
when the largest writer grew by more than half from the smallest size to the largest.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.questions import read_questions
from store.artifacts import open_store
from store.database import AsyncConnection, connect
from store.dataset_kinds import INTERACTIONS
from store.dataset_rows import day_start
from store.datasets import Datasets
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.partitions import keep_partitions
from training.ray_datasets import read_ray, run_on_ray
from training.ray_job import connected
from training.snapshot import Places, SnapshotJob, peak_rss_bytes

MAY_GROW = 1.5
LINES_AT_ONCE = 10_000
COLUMNS = (
    "interaction_id, asked_at, ingested_at, session_id, query_text, outcome, confused_because,"
    " intent, confidence, alternatives, result_ids, degraded, model_version, embedding_space,"
    " timings_ms"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: rows, what the snapshot took, and how long reading it took."""

    rows: int
    files: int
    file_bytes: int
    snapshot_s: float
    writer_rss_bytes: int
    driver_rss_bytes: int
    stream_s: float
    ray_s: float


def lines(day: date, *, rows: int, questions: Sequence[str]) -> Iterator[str]:
    """Yield interactions of a day as COPY reads them, evenly spread, a session for every four."""
    draw = random.Random(rows)
    intents = ("dining", "housing", "library", "exams_and_grades", "financial_aid")
    start, step = day_start(day), timedelta(days=1) / rows
    for number in range(rows):
        intent, confidence = draw.choice(intents), round(draw.random(), 4)
        rest = round((1 - confidence) / 2, 4)
        alternatives = [
            {"intent": name, "confidence": value}
            for name, value in zip(
                (intent, "admissions", "dining"), (confidence, rest, rest), strict=True
            )
        ]
        timings = {name: round(draw.uniform(1, 20), 1) for name in ("embed", "classify", "total")}
        at = (start + number * step).isoformat()
        answered = confidence >= 0.6
        yield "\t".join(
            (
                f"{uuid.UUID(int=draw.getrandbits(128)).hex}{number:012x}",
                at,
                at,
                f"{number // 4:032x}",
                f"{draw.choice(questions)} {number}",
                "answered" if answered else "confused",
                r"\N" if answered else "low_confidence",
                intent,
                str(confidence),
                orjson.dumps(alternatives).decode(),
                "{node-1,node-2,node-3,node-4,node-5}",
                "{}",
                "v3",
                "b7e34a2afc7d3395",
                orjson.dumps(timings).decode(),
            )
        )


def fill(url: str, *, day: date, rows: int, console: Console) -> None:
    """Store generated interactions of a day."""
    questions = [text for text in read_questions() if "\t" not in text and "\\" not in text]
    with (
        connect(url) as connection,
        connection.cursor() as cursor,
        console.status(f"generating {rows:,} interactions") as status,
        cursor.copy(f"COPY interaction_log ({COLUMNS}) FROM STDIN") as copy,
    ):
        batch: list[str] = []
        for number, line in enumerate(lines(day, rows=rows, questions=questions), start=1):
            batch.append(line)
            if number % LINES_AT_ONCE == 0 or number == rows:
                copy.write("\n".join(batch) + "\n")
                batch.clear()
                status.update(f"generating interactions: {number:,} of {rows:,}")
    with connect(url) as connection:
        connection.execute("ANALYZE interaction_log")


def measure(places: Places, *, day: date, rows: int, console: Console) -> Measured:
    """Take the day's snapshot, and read it back in two ways."""
    job = SnapshotJob(places, run=run_on_ray, report=lambda line: console.print(f"[dim]{line}[/]"))
    since_s = time.perf_counter()
    taken = next(one for one in job.take(day) if one.manifest.dataset == INTERACTIONS.name)
    snapshot_s, since_s = time.perf_counter() - since_s, time.perf_counter()
    datasets = Datasets(open_store(places.store_url))
    read = sum(table.num_rows for table in datasets.read_tables(INTERACTIONS, first=day, last=day))
    stream_s, since_s = time.perf_counter() - since_s, time.perf_counter()
    driver_rss_bytes = peak_rss_bytes()
    read_by_ray = read_ray(places.store_url, INTERACTIONS, first=day, last=day).count()
    ray_s = time.perf_counter() - since_s
    if not rows == taken.manifest.rows == read == read_by_ray:
        raise AssertionError(f"{rows} rows, {taken.manifest.rows} written, {read} read")
    return Measured(
        rows=rows,
        files=len(taken.manifest.files),
        file_bytes=sum(file.bytes for file in taken.manifest.files),
        snapshot_s=snapshot_s,
        writer_rss_bytes=taken.peak_rss_bytes,
        driver_rss_bytes=driver_rss_bytes,
        stream_s=stream_s,
        ray_s=ray_s,
    )


async def _make_days(url: str, *, last: date, count: int) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await keep_partitions(
            connection, today=day_start(last), retention_days=count + 30, ahead_days=count
        )


def show(measured: Sequence[Measured], *, console: Console) -> None:
    """Print the table."""
    table = Table("rows", "files", "MB", "snapshot s", "rows/s", show_edge=False)
    for title in ("writer peak MiB", "driver peak MiB", "read, streamed s", "read by Ray s"):
        table.add_column(title)
    for column in table.columns:
        column.justify = "right"
    for one in measured:
        table.add_row(
            f"{one.rows:,}",
            str(one.files),
            f"{one.file_bytes / 1e6:.1f}",
            f"{one.snapshot_s:.1f}",
            f"{one.rows / one.snapshot_s:,.0f}",
            f"{one.writer_rss_bytes / 2**20:.0f}",
            f"{one.driver_rss_bytes / 2**20:.0f}",
            f"{one.stream_s:.1f}",
            f"{one.ray_s:.1f}",
        )
    console.print(table)


def main(given: Sequence[str] | None = None) -> int:
    """Fill, measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    sizes = sorted(parser.parse_args(given).rows)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    last = datetime.now(UTC).date() - timedelta(days=1)
    first = last - timedelta(days=len(sizes) - 1)
    with (
        tempfile.TemporaryDirectory(prefix="hub-snapshot-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
        connected(),
    ):
        with connect(server.url, vectors=False) as connection:
            migrate(connection)
        asyncio.run(_make_days(server.url, last=first, count=len(sizes)))
        places = Places(server.url, f"{folder}/artifacts")
        measured = []
        for offset, rows in enumerate(sizes):
            day = first + timedelta(days=offset)
            fill(server.url, day=day, rows=rows, console=console)
            measured.append(measure(places, day=day, rows=rows, console=console))
    show(measured, console=console)
    growth = measured[-1].writer_rss_bytes / measured[0].writer_rss_bytes
    console.print(
        f"from {sizes[0]:,} to {sizes[-1]:,} rows the largest writer grew {growth:.2f}-fold"
        f" ({MAY_GROW} is allowed)"
    )
    return 0 if growth <= MAY_GROW else 1


if __name__ == "__main__":
    sys.exit(main())
