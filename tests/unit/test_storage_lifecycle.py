"""deploy/storage-lifecycle.json: what goes from the bucket by itself, and when, and what never."""

import json
from collections.abc import Callable
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


def is_due(
    rule: dict[str, Any], *, name: str, metadata: dict[str, Any], days: int, is_live: bool = True
) -> bool:
    """Say whether a rule deletes an object that was written on DAY and, if not live, replaced then.

    All conditions must hold, as Cloud Storage documents them.
    """
    moment = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=days)
    custom_time = metadata.get("customTime")
    since_custom_time = custom_time and moment - datetime.fromisoformat(custom_time)
    holds: dict[str, Callable[[Any], bool]] = {
        "age": lambda least: days >= least,
        "daysSinceCustomTime": lambda least: (
            since_custom_time is not None and since_custom_time >= timedelta(days=least)
        ),
        "daysSinceNoncurrentTime": lambda least: not is_live and days >= least,
        "isLive": lambda wanted: is_live == wanted,
        "matchesPrefix": lambda prefixes: name.startswith(tuple(prefixes)),
        "matchesSuffix": lambda suffixes: name.endswith(tuple(suffixes)),
    }
    deletes: bool = rule["action"]["type"] == "Delete"
    return deletes and all(holds[key](value) for key, value in rule["condition"].items())


def left_after(days: int, *, rules: list[dict[str, Any]], storage: StorageServer) -> list[str]:
    return sorted(
        name
        for name, one in storage.buckets.objects["hub"].items()
        if not any(is_due(rule, name=name, metadata=one.metadata, days=days) for rule in rules)
    )


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
    assert left_after(retention - 3, rules=rules, storage=storage) == everything
    without_manifests = left_after(retention - 1, rules=rules, storage=storage)
    assert [one for one in without_manifests if one.startswith("models/")] == models
    days = [one for one in without_manifests if one.startswith("datasets/")]
    assert days
    assert all(one.endswith(".parquet") for one in days), "without its manifest it is no day"
    assert left_after(retention, rules=rules, storage=storage) == models
    assert left_after(10_000, rules=rules, storage=storage) == models


def test_what_an_erasure_replaced_is_gone_within_a_week_where_versions_of_objects_are_kept(
    rules: list[dict[str, Any]],
) -> None:
    for name in ("models/v3/test.jsonl", "datasets/labels/dt=2026-03-01/part-00000-a.parquet"):
        for days, is_gone in ((6, False), (7, True)):
            due = [is_due(one, name=name, metadata={}, days=days, is_live=False) for one in rules]
            assert any(due) == is_gone


def test_checkpoints_of_trainings_that_ended_go(rules: list[dict[str, Any]]) -> None:
    """They lie where deploy/node.sh says: HUB_TRAIN_STORAGE is a folder of HUB_ARTIFACTS."""
    assert (
        "HUB_TRAIN_STORAGE:-$HUB_ARTIFACTS/training}"
        in (PROJECT / "deploy" / "node.sh").read_text()
    )
    for days, is_gone in ((29, False), (30, True)):
        name = "training/2026-03-01/checkpoint/model.safetensors"
        assert any(is_due(one, name=name, metadata={}, days=days) for one in rules) == is_gone


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
