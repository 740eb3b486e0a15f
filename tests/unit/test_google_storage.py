"""A bucket when things go wrong: Google's own client against a server that was told to fail."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from contracts.errors import ArtifactError
from store.artifacts import (
    ABSENT,
    ArtifactChanged,
    ArtifactExists,
    ArtifactMissing,
    ArtifactStore,
    StoreUnavailable,
)
from tests.stand_ins.storage import StorageServer
from tests.stand_ins.storage_http import Request
from tests.stores import AWAY_S, BUCKET, open_bucket

MIB = 2**20


def uploads(request: Request) -> bool:
    return request.is_upload


def downloads(request: Request) -> bool:
    return request.is_download


def stored(storage: StorageServer, name: str) -> bytes:
    return storage.buckets.objects[BUCKET][name].content


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that goes up in three parts: Google's client sends up to 8 MiB in one piece."""
    monkeypatch.setattr("store.google_storage._CHUNK_BYTES", 3 * MIB)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(8 * MIB + 12_345))
    return file


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_fails_for_a_moment_is_tried_again(
    bucket: ArtifactStore, storage: StorageServer, status: int, tmp_path: Path
) -> None:
    storage.fail(2, status=status)
    generation = bucket.create("a", b"1")
    storage.fail(status=status)
    assert bucket.read("a").generation == generation
    storage.fail(status=status)
    bucket.fetch("a", tmp_path / "a")
    storage.fail(status=status)
    bucket.replace("a", b"2", expected=generation)
    storage.fail(status=status)
    assert bucket.keys("") == ["a"]
    storage.fail(status=status)
    bucket.remove("a")
    assert storage.buckets.objects[BUCKET] == {}


@pytest.mark.parametrize("status", [429, 503])
def test_a_creation_whose_answer_was_lost_is_known_again(
    bucket: ArtifactStore, storage: StorageServer, status: int
) -> None:
    storage.fail(status=status, after=True, which=uploads)
    generation = bucket.create("a", b"1")
    assert bucket.read("a").generation == generation
    assert len([one for one in storage.requests if one.is_upload]) == 2
    with pytest.raises(ArtifactExists):
        bucket.create("a", b"1")  # somebody else's: its content is the same, its mark is not


def test_a_replacement_whose_answer_was_lost_is_known_again(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    first = bucket.create("a", b"1")
    storage.fail(after=True, which=uploads)
    second = bucket.replace("a", b"2", expected=first)
    assert bucket.read("a").generation == second
    storage.fail(after=True, which=uploads)
    with pytest.raises(ArtifactChanged):
        bucket.replace("a", b"3", expected=first)
    assert bucket.read("a").content == b"2"


def test_a_write_whose_connection_broke_before_the_answer_is_known_again(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    storage.lose_answer(which=uploads)
    first = bucket.create("a", b"1")
    storage.lose_answer(which=uploads)
    second = bucket.replace("a", b"2", expected=first)
    assert (bucket.read("a").content, bucket.read("a").generation) == (b"2", second)
    assert sum(one.is_upload for one in storage.requests) == 4


def test_a_small_upload_that_was_cut_is_sent_again(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    storage.cut(2, after_bytes=50_000, which=uploads)
    bucket.create("a", b"x" * 100_000)
    assert stored(storage, "a") == b"x" * 100_000


def test_a_large_creation_whose_answer_was_lost_is_known_again(
    bucket: ArtifactStore, storage: StorageServer, large: Path
) -> None:
    last_part = iter([False, False, True])
    storage.fail(after=True, which=lambda one: one.is_upload and next(last_part, False))
    generation = bucket.create("large", large)
    assert storage.buckets.objects[BUCKET]["large"].generation == generation
    assert stored(storage, "large") == large.read_bytes()


def test_a_removal_whose_answer_was_lost_is_a_removal(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    bucket.create("a", b"1")
    storage.fail(after=True, which=lambda one: one.method == "DELETE")
    bucket.remove("a")
    assert bucket.keys("") == []


@pytest.mark.parametrize("after_bytes", [0, 100_000, 2 * MIB, 3 * MIB - 1])
def test_an_upload_that_was_cut_goes_on_and_its_bytes_are_right(
    bucket: ArtifactStore, storage: StorageServer, large: Path, after_bytes: int
) -> None:
    second_part = iter([False, True])
    storage.cut(
        after_bytes=after_bytes, which=lambda one: one.is_upload and next(second_part, False)
    )
    bucket.create("large", large)
    assert stored(storage, "large") == large.read_bytes()
    assert sum(one.begins_session for one in storage.requests) == 1


def test_an_upload_is_not_there_before_its_last_byte(
    bucket: ArtifactStore, storage: StorageServer, large: Path
) -> None:
    parts: list[bool] = []

    def seen_meanwhile(request: Request) -> bool:
        if request.is_upload:
            parts.append("large" in storage.buckets.objects[BUCKET])
        return False

    storage.fail(which=seen_meanwhile)
    bucket.create("large", large)
    assert parts == [False, False, False]


def test_an_upload_that_is_given_up_is_never_seen(
    bucket: ArtifactStore, storage: StorageServer, large: Path
) -> None:
    impatient = open_bucket(deadline_s=AWAY_S)
    first = iter([False])
    storage.cut(100, after_bytes=MIB, which=lambda one: one.is_upload and next(first, True))
    with pytest.raises(StoreUnavailable, match="not known whether it was written"):
        impatient.create("large", large)
    storage.recover()
    assert bucket.keys("") == []
    bucket.create("large", large)
    assert stored(storage, "large") == large.read_bytes()


def test_an_upload_whose_session_ended_begins_again(
    bucket: ArtifactStore, storage: StorageServer, large: Path
) -> None:
    parts = iter([False, True])

    def at_the_second_part(request: Request) -> bool:
        if request.is_upload and next(parts, False):
            storage.buckets.end_sessions()
        return False

    storage.fail(which=at_the_second_part)
    bucket.create("large", large)
    assert stored(storage, "large") == large.read_bytes()
    assert sum(one.begins_session for one in storage.requests) == 2


@pytest.mark.parametrize("is_large", [False, True])
def test_what_is_damaged_on_its_way_up_is_not_kept_and_sent_again(
    bucket: ArtifactStore, storage: StorageServer, is_large: bool, tmp_path: Path, large: Path
) -> None:
    file = large if is_large else tmp_path / "file"
    file.write_bytes(large.read_bytes() if is_large else b"small")
    storage.damage(which=uploads)
    bucket.create("file", file)
    assert stored(storage, "file") == file.read_bytes()
    storage.damage(100, which=uploads)
    with pytest.raises(StoreUnavailable, match="CRC32C"):
        bucket.create("other", file)
    assert list(storage.buckets.objects[BUCKET]) == ["file"]


@pytest.mark.parametrize("after_bytes", [0, 1, 3 * MIB])
def test_a_download_that_was_cut_goes_on_and_its_bytes_are_right(
    bucket: ArtifactStore, storage: StorageServer, large: Path, tmp_path: Path, after_bytes: int
) -> None:
    bucket.create("large", large)
    storage.cut(2, after_bytes=after_bytes, which=downloads)
    bucket.fetch("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    assert sum(one.is_download for one in storage.requests) == 3


def test_an_object_that_is_replaced_during_a_cut_download_is_read_anew(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    first = bucket.create("a", b"first" * 100_000)
    other = open_bucket()

    def replaced_meanwhile(request: Request) -> bool:
        if request.is_download and "generation" in request.query:
            storage.recover()
            other.replace("a", b"second", expected=first)
        return False

    storage.fail(which=replaced_meanwhile)
    storage.cut(after_bytes=100_000, which=downloads)
    assert bucket.read("a").content == b"second"


def test_a_damaged_download_is_fetched_again_and_never_used(
    bucket: ArtifactStore, storage: StorageServer, tmp_path: Path
) -> None:
    bucket.create("a", b"one" * 1000)
    storage.damage(which=downloads)
    assert bucket.read("a").content == b"one" * 1000
    storage.damage(100, which=downloads)
    with pytest.raises(ArtifactError, match="came damaged 3 times; nothing of it was used"):
        bucket.read("a")
    with pytest.raises(ArtifactError, match="damaged"):
        bucket.fetch("a", tmp_path / "a")


def test_a_download_that_was_cut_and_damaged_is_noticed(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    """Google's client compares no checksum once a download was resumed."""
    bucket.create("a", b"x" * 3 * MIB)
    storage.cut(after_bytes=MIB, which=downloads)
    storage.damage(which=downloads)
    assert bucket.read("a").content == b"x" * 3 * MIB


def test_a_slow_answer_is_waited_for_and_one_that_hangs_is_given_up(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    storage.slow_down(delay_s=0.2, which=uploads)
    bucket.create("a", b"1")
    storage.slow_down(delay_s=2 * AWAY_S, which=downloads)
    with pytest.raises(StoreUnavailable, match=f"asked for {AWAY_S} s to read a"):
        open_bucket(deadline_s=AWAY_S).read("a")


def test_listings_come_in_pages(bucket: ArtifactStore, storage: StorageServer) -> None:
    names = [f"models/v3/file{number:04d}" for number in range(2_500)]
    for name in names:
        storage.buckets.put(BUCKET, {"name": name}, b"", {})
    storage.buckets.put(BUCKET, {"name": "models/"}, b"", {})  # a "folder", made in the console
    storage.fail(which=lambda one: "pageToken" in one.query)
    assert bucket.keys("models/") == names
    assert sum("pageToken" in one.query for one in storage.requests) == 3, "and one tried again"


def test_a_store_may_be_a_folder_of_a_bucket(storage: StorageServer) -> None:
    whole, mine, other = (open_bucket(f"gs://hub{folder}") for folder in ("", "/mine/", "/other"))
    assert mine.url == "gs://hub/mine"
    mine.create("a", b"1")
    other.create("a", b"2")
    assert whole.keys("") == ["mine/a", "other/a"]
    assert mine.keys("") == ["a"]
    mine.remove("a")
    with pytest.raises(ArtifactMissing, match="gs://hub/mine/a"):
        mine.read("a")
    assert other.read("a").content == b"2"


def test_an_object_of_a_day_carries_that_day_also_when_it_is_replaced(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    key = "datasets/interactions/dt=2026-03-01/manifest.json"
    bucket.replace(key, b"2", expected=bucket.create(key, b"1"))
    bucket.create("models/v3/manifest.json", b"")
    times = {
        name: one.metadata.get("customTime")
        for name, one in storage.buckets.objects[BUCKET].items()
    }
    assert datetime.fromisoformat(times[key]).isoformat() == "2026-03-01T00:00:00+00:00"
    assert times["models/v3/manifest.json"] is None


def test_a_bucket_that_is_not_there_is_no_missing_artifact(
    storage: StorageServer, tmp_path: Path
) -> None:
    store = open_bucket("gs://typo")
    for use in (
        lambda: store.read("a"),
        lambda: store.create("a", b""),
        lambda: store.replace("a", b"", expected=ABSENT),
        lambda: store.keys(""),
        lambda: store.remove("a"),
        lambda: store.fetch("a", tmp_path / "a"),
    ):
        with pytest.raises(StoreUnavailable, match=r"no bucket for gs://typo.*HUB_ARTIFACTS"):
            use()


def test_who_may_not_learns_which_role_is_missing(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    storage.fail(100, status=403)
    for use in (
        lambda: bucket.read("a"),
        lambda: bucket.create("a", b""),
        lambda: bucket.keys(""),
        lambda: bucket.remove("a"),
    ):
        with pytest.raises(
            StoreUnavailable, match=r"may not (read|write|list|remove) .*roles/storage.objectUser"
        ):
            use()
    assert len(storage.requests) == 4, "nothing is asked twice"


def test_a_service_that_is_away_is_given_up_in_time_and_comes_back(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    generation = bucket.create("a", b"1")
    impatient = open_bucket(deadline_s=AWAY_S)
    storage.stop()
    with pytest.raises(StoreUnavailable, match=r"s to read a.*Nothing was changed. Try again"):
        impatient.read("a")
    with pytest.raises(StoreUnavailable, match="not known whether it was written"):
        impatient.replace("a", b"2", expected=generation)
    storage.start()
    assert bucket.read("a").generation == generation


def test_credentials_that_are_not_taken_are_named(
    bucket: ArtifactStore, storage: StorageServer
) -> None:
    storage.fail(100, status=401)
    with pytest.raises(StoreUnavailable, match=r"No credentials for gs://hub.*Nothing was changed"):
        bucket.read("a")


def test_without_credentials_it_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="gcloud auth application-default login"):
        open_bucket().read("a")
