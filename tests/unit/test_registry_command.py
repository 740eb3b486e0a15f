"""The registry's command, over a folder and a bucket, without a hub."""

import json
from pathlib import Path

import pytest

from store.artifacts import ArtifactStore
from store.registry import Registry
from tests.samples import candidate_in
from tests.stand_ins.storage import StorageServer
from training import registry as command


@pytest.fixture
def registry(store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with v3, the champion, and v4."""
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    monkeypatch.setenv("HUB_ARTIFACTS", store.url)
    registry = Registry(store)
    first = registry.publish(candidate_in(tmp_path / "a"))
    registry.move_champion(first, expected=None, who="a test", why="first")
    registry.publish(candidate_in(tmp_path / "b"))
    return registry


def test_list_names_the_champion_and_the_one_before(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["promote", "v4"]) == 0
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().startswith("v4") and "champion" in line for line in lines)
    assert any(line.strip().startswith("v3") and "previous" in line for line in lines)


def test_a_rollback_brings_the_one_before_back_and_is_logged(registry: Registry) -> None:
    assert command.main(["promote", "v4", "--why", "it is better"]) == 0
    assert command.main(["rollback"]) == 0
    moves = [(move.previous, move.version, move.why) for move in registry.promotions()]
    assert moves == [
        (None, "v3", "first"),
        ("v3", "v4", "it is better"),
        ("v4", "v3", "rolled back"),
    ]


def test_without_one_before_there_is_nothing_to_roll_back_to(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["rollback"]) == 1
    assert "No version served before this one." in capsys.readouterr().out


def test_what_the_gate_stopped_is_never_promoted(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decision = {"passed": False, "reasons": ["golden query lost"]}
    stopped = registry.publish(candidate_in(tmp_path / "c"), gate=decision)
    assert command.main(["promote", stopped]) == 1
    assert "golden query lost" in capsys.readouterr().out
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v3"


@pytest.mark.parametrize("version", ["v3", "v9", "nonsense"])
def test_what_cannot_be_promoted_is_said_and_changes_nothing(
    registry: Registry, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["promote", version]) == 1
    assert version in capsys.readouterr().out
    assert len(registry.promotions()) == 1


def test_verify_names_the_version_whose_file_was_changed(
    registry: Registry, store: ArtifactStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["verify"]) == 0
    name = next(iter(registry.manifest("v4").files))
    store.remove(f"models/v4/{name}")
    store.create(f"models/v4/{name}", b"something else")
    assert command.main(["verify"]) == 1
    said = capsys.readouterr().out
    assert f"v4: An artifact in the store is missing, incomplete or damaged. {name}" in said
    assert command.main(["verify", "v3"]) == 0
    assert command.main(["promote", "v4"]) == 1


def test_a_bucket_that_is_away_is_said_once_and_no_version_called_damaged(
    bucket: ArtifactStore,
    storage: StorageServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HUB_ARTIFACTS", bucket.url)
    for name in ("a", "b"):
        Registry(bucket).publish(candidate_in(tmp_path / name))
    storage.fail(1_000_000, status=403, which=lambda one: one.is_download)
    assert command.main(["verify"]) == 1
    said = capsys.readouterr().out
    assert said.count("The artifact store cannot be used now.") == 1
    assert "v3:" not in said


def test_show_prints_a_version_and_its_moves(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["show", "v3"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said[: said.rindex("}") + 1])["version"] == "v3"
    assert "nothing -> v3 by a test: first" in said
