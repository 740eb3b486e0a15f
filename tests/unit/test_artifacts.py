"""What every artifact store promises: a folder, and a bucket."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, SettingsError
from store.artifacts import (
    ABSENT,
    ArtifactChanged,
    ArtifactExists,
    ArtifactMissing,
    ArtifactStore,
    open_store,
)


def test_what_was_created_is_read_back(store: ArtifactStore) -> None:
    generation = store.create("models/v3/note.txt", b"hello")
    found = store.read("models/v3/note.txt")
    assert (found.content, found.generation) == (b"hello", generation)


@pytest.mark.parametrize("size_bytes", [0, 3_000_000, 9_000_001])
def test_a_file_is_created_from_a_file_and_fetched_into_one(
    store: ArtifactStore, tmp_path: Path, size_bytes: int
) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(251)) * (size_bytes // 251) + b"x" * (size_bytes % 251))
    store.create("big", source)
    copy.write_bytes(b"something longer that was there before")
    store.fetch("big", copy)
    assert copy.read_bytes() == store.read("big").content == source.read_bytes()


def test_a_second_creation_is_refused_and_changes_nothing(store: ArtifactStore) -> None:
    store.create("a", b"first")
    with pytest.raises(ArtifactExists, match="/a"):
        store.create("a", b"second")
    assert store.read("a").content == b"first"


def test_a_replacement_needs_the_generation_that_was_read(store: ArtifactStore) -> None:
    first = store.create("a", b"1")
    second = store.replace("a", b"2", expected=first)
    assert second > first
    with pytest.raises(ArtifactChanged, match="/a"):
        store.replace("a", b"3", expected=first)
    assert store.read("a").content == b"2"
    assert store.read("a").generation == second


def test_a_replacement_can_expect_that_nothing_is_there(store: ArtifactStore) -> None:
    store.replace("a", b"1", expected=ABSENT)
    with pytest.raises(ArtifactChanged):
        store.replace("a", b"2", expected=ABSENT)


def test_what_is_gone_cannot_be_replaced(store: ArtifactStore) -> None:
    generation = store.create("a", b"1")
    store.remove("a")
    with pytest.raises(ArtifactChanged):
        store.replace("a", b"2", expected=generation)
    assert store.keys("a") == []


def test_keys_are_listed_by_prefix_in_order(store: ArtifactStore) -> None:
    for key in ("models/v3/a", "models/v10/b", "datasets/c"):
        store.create(key, b"")
    assert store.keys("models/") == ["models/v10/b", "models/v3/a"]
    assert store.keys("models/v3") == ["models/v3/a"]
    assert store.keys("nothing/") == []
    assert store.keys("") == ["datasets/c", "models/v10/b", "models/v3/a"]


def test_a_missing_artifact_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="models/v9/x"):
        store.read("models/v9/x")
    with pytest.raises(ArtifactMissing, match="models/v9/x"):
        store.fetch("models/v9/x", tmp_path / "into")


def test_a_name_that_only_begins_like_an_artifacts_is_missing(store: ArtifactStore) -> None:
    store.create("models/v30/x", b"")
    with pytest.raises(ArtifactMissing):
        store.read("models/v3")


def test_what_is_removed_is_gone_and_may_be_created_anew(store: ArtifactStore) -> None:
    store.create("a/b", b"1")
    store.remove("a/b")
    store.remove("a/b")
    with pytest.raises(ArtifactMissing):
        store.read("a/b")
    store.create("a/b", b"2")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../b", "a//b", ".hidden", "a b"])
def test_a_key_cannot_leave_the_store(store: ArtifactStore, key: str, tmp_path: Path) -> None:
    uses: list[Callable[[], object]] = [
        lambda: store.create(key, b""),
        lambda: store.replace(key, b"", expected=ABSENT),
        lambda: store.read(key),
        lambda: store.remove(key),
        lambda: store.fetch(key, tmp_path / "into"),
        lambda: store.local(key),
    ]
    for use in uses:
        with pytest.raises(ArtifactError, match="not a name"):
            use()


def test_of_racing_writers_one_creates_and_one_replaces(store: ArtifactStore) -> None:
    """Each has a store, and for a bucket a client and a connection, of its own."""
    url, writers = store.url, 4
    start = threading.Barrier(writers)
    created: list[int] = []
    replaced: list[int] = []

    def write(number: int) -> None:
        mine = open_store(url)
        start.wait()
        try:
            mine.create("claim", bytes([number]))
            created.append(number)
        except ArtifactExists:
            pass
        expected = mine.read("claim").generation
        start.wait()
        try:
            mine.replace("claim", bytes([number]), expected=expected)
            replaced.append(number)
        except ArtifactChanged:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == len(replaced) == 1
    assert store.read("claim").content == bytes(replaced)


@pytest.mark.parametrize(
    "url", ["ftp://somewhere", "gs://", "gs://UPPER", "gs://bucket/../up", "gs://bucket//folder"]
)
def test_a_store_that_cannot_be_opened_is_a_setting_to_change(url: str) -> None:
    with pytest.raises(SettingsError, match="HUB_ARTIFACTS"):
        open_store(url)


def test_a_relative_folder_means_the_same_folder_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("artifacts").url == str(tmp_path / "artifacts")


def test_a_hub_with_a_folder_loads_none_of_googles_libraries() -> None:
    program = (
        "import sys; from store.artifacts import open_store; from store.registry import Registry;"
        "import store.datasets; Registry(open_store('/tmp/nowhere')).versions();"
        "print([name for name in sys.modules if name.startswith(('google.cloud.', 'google.auth'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_bucket_without_the_extra_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['google.cloud.storage'] = None;"
        "from store.artifacts import open_store; open_store('gs://bucket')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'student-resource-hub[gcp]'" in done.stderr
    assert "SettingsError" in done.stderr
