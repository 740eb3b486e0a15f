"""deploy/storage-lifecycle.json: what goes from the bucket by itself, and when, and what never."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import PROJECT, Settings
from store.artifacts import ArtifactStore
from store.dataset_files import write_part
from store.dataset_kinds import INTERACTIONS, KINDS, DatasetKind
from store.datasets import Datasets
from store.registry import Registry
from tests.dataset_samples import asked, labelled, table
from tests.samples import candidate_in, utc
from tests.stand_ins.storage import StorageServer

FILE = PROJECT / "deploy" / "storage-lifecycle.json"
DAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    document = json.loads(FILE.read_text())
    assert list(document) == ["rule"], "what `gcloud storage buckets update --lifecycle-file` takes"
    found: list[dict[str, Any]] = document["rule"]
    return found


def is_due(rule: dict[str, Any], *, name: str, metadata: dict[str, Any], at: datetime) -> bool:
    """Say whether a rule deletes a live object, as Cloud Storage documents its conditions."""
    known = {"daysSinceCustomTime", "matchesPrefix", "matchesSuffix"}
    condition = rule["condition"]
    assert set(condition) <= known, "a condition that this test does not know"
    custom_time = metadata.get("customTime")
    if custom_time is None:
        return False
    days = (at - datetime.fromisoformat(custom_time)) / timedelta(days=1)
    return (
        days >= condition["daysSinceCustomTime"]
        and name.startswith(tuple(condition["matchesPrefix"]))
        and name.endswith(tuple(condition.get("matchesSuffix", [""])))
    )


def left_after(days: int, *, rules: list[dict[str, Any]], storage: StorageServer) -> list[str]:
    at = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=days)
    deleting = [rule for rule in rules if rule["action"]["type"] == "Delete"]
    return [
        name
        for name, one in storage.buckets.objects["hub"].items()
        if not any(is_due(rule, name=name, metadata=one.metadata, at=at) for rule in deleting)
    ]


def write_day(datasets: Datasets, kind: DatasetKind) -> None:
    """A day of two files, one of which was rewritten when somebody was erased."""
    row = asked(1) if kind is INTERACTIONS else labelled(1, session_id="s1", members=[])
    files = [
        write_part(datasets.store, kind, DAY, number=number, tables=[table(row, kind=kind)])
        for number in range(2)
    ]
    datasets.publish(
        kind,
        DAY,
        files=[one for one in files if one],
        since=utc(2026, 3, 1),
        watermark=utc(2026, 3, 2),
    )
    first = iter([True])
    datasets.rewrite(kind, DAY, keep=lambda rows: rows.slice(0, 0) if next(first, False) else rows)


def test_a_day_goes_after_the_retention_its_manifest_first_and_models_stay(
    bucket: ArtifactStore, storage: StorageServer, rules: list[dict[str, Any]], tmp_path: Path
) -> None:
    for kind in KINDS.values():
        write_day(Datasets(bucket), kind)
    registry = Registry(bucket)
    registry.publish(candidate_in(tmp_path / "candidate"))
    registry.move_champion("v3", expected=None, who="ada", why="first")
    models = bucket.keys("models/")
    retention = Settings.model_fields["retention_days"].default

    everything = bucket.keys("")
    assert sorted(left_after(retention - 3, rules=rules, storage=storage)) == everything
    without_manifests = sorted(left_after(retention - 1, rules=rules, storage=storage))
    assert [one for one in without_manifests if one.startswith("models/")] == models
    days = [one for one in without_manifests if one.startswith("datasets/")]
    assert days
    assert all(one.endswith(".parquet") for one in days), "without its manifest it is no day"
    assert sorted(left_after(retention, rules=rules, storage=storage)) == models
    assert sorted(left_after(10_000, rules=rules, storage=storage)) == models


def test_uploads_that_were_given_up_go_within_a_week(rules: list[dict[str, Any]]) -> None:
    ended = [rule for rule in rules if rule["action"]["type"] == "AbortIncompleteMultipartUpload"]
    assert [rule["condition"] for rule in ended] == [{"age": 7}]


def test_googles_own_client_takes_the_rules(
    storage: StorageServer, rules: list[dict[str, Any]]
) -> None:
    from google.cloud.storage import Client

    with Client() as client:
        bucket = client.bucket("hub")
        bucket.lifecycle_rules = rules
        bucket.patch()
        found = list(client.get_bucket("hub").lifecycle_rules)
    assert [dict(rule) for rule in found] == rules
