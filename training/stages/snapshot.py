"""Snapshot: freeze the verified labels of this moment, or a file of labelled queries.

Writes `labels.jsonl`, which every later stage works on, and snapshot.json.
"""

import json
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.records import VerifiedLabel
from contracts.settings import Settings
from store.database import connect
from store.labels import read_verified
from store.running import running_database
from training.dataset_file import DatasetRow, read_dataset
from training.examples import Example, examples_digest
from training.stages.run import Report, RunFolder, run_alone

LABELS = "labels.jsonl"


def snapshot(run: RunFolder, settings: Settings, report: Report) -> None:
    """Write what this run learns from. Raises DataError for a file that cannot be read."""
    dataset = run.order.dataset
    if dataset is not None:
        rows = read_dataset(Path(dataset))
        examples = [row.example for row in rows]
        content = [{**asdict(row.example), "side": row.side} for row in rows]
        sources = {"file": len(rows)}
    else:
        with running_database(settings, say=report) as url, connect(url, vectors=False) as database:
            labels = read_verified(database)
        examples = [Example(one.query_text, one.intent) for one in labels]
        content = [_row(one) for one in labels]
        sources = dict(Counter(one.source for one in labels))
    # Exclusive to this user from the first byte, as the log is.
    with (run.path / LABELS).open("w") as file:
        for row in content:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    run.write(
        "snapshot",
        {
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "dataset": dataset,
            "labels": len(content),
            "sources": sources,
            "digest": examples_digest(examples),
        },
    )
    report(f"snapshot: {len(content):,} labels ({_counts(sources)})")


def read_frozen(run: RunFolder) -> list[VerifiedLabel]:
    """Return the hub's labels of a run's snapshot."""
    run.read("snapshot")
    rows = (json.loads(line) for line in (run.path / LABELS).read_text().splitlines())
    return [
        VerifiedLabel(
            query_text=row.pop("text"),
            verified_at=datetime.fromisoformat(row.pop("verified_at")),
            **row,
        )
        for row in rows
    ]


def read_dataset_rows(run: RunFolder) -> list[DatasetRow]:
    """Return the rows of a file's snapshot."""
    run.read("snapshot")
    rows = (json.loads(line) for line in (run.path / LABELS).read_text().splitlines())
    return [DatasetRow(Example(row["text"], row["intent"]), row["side"]) for row in rows]


def _row(label: VerifiedLabel) -> dict[str, Any]:
    row = asdict(label)
    return {
        "text": row.pop("query_text"),
        **row,
        "verified_at": label.verified_at.isoformat(),
    }


def _counts(sources: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(sources.items())) or "none"


if __name__ == "__main__":
    sys.exit(run_alone(snapshot))
