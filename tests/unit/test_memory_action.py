"""What the memory watch decides, case by case, and which version it would take."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.artifacts import open_store
from store.registry import Manifest, Registry
from store.replacements import Replacement, Replacements
from tests.samples import candidate_in
from training.memory_action import Held, Smaller, look, smaller_version

LIMIT = 1_500_000_000
SMALL = Held("a", "v3", 300_000_000)
LARGE = Held("b", "v3", 1_600_000_000)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSED = {"passed": True, "reasons": []}


@pytest.mark.parametrize("held", [[SMALL], [SMALL, SMALL], [replace(LARGE, memory_bytes=LIMIT)]])
def test_at_or_below_the_limit_nothing_is_done(held: list[Held]) -> None:
    assert look(held, limit_bytes=LIMIT, smaller=Smaller("v4")).kind == "nothing"


def test_one_replica_over_the_limit_is_enough_to_replace() -> None:
    action = look([SMALL, LARGE], limit_bytes=LIMIT, smaller=Smaller("v4"))
    assert (action.kind, action.version) == ("replace", "v4")
    assert "1 of 2 classifier replicas hold more than 1500 MB, b 1600 MB" in action.why


def test_without_a_smaller_version_somebody_is_told_why() -> None:
    action = look([LARGE], limit_bytes=LIMIT, smaller=Smaller(None, "there is none"))
    assert (action.kind, action.version) == ("alert", None)
    assert "there is none" in action.why


def test_what_was_replaced_once_is_not_replaced_for_the_same_version_again() -> None:
    large = replace(LARGE, version="v4")
    action = look([large], limit_bytes=LIMIT, smaller=Smaller("v4"), replaced_for="v4")
    assert action.kind == "alert"
    assert "HUB_MEMORY_LIMIT_BYTES" in action.why
    again = look([large], limit_bytes=LIMIT, smaller=Smaller("v5"), replaced_for="v4")
    assert (again.kind, again.version) == ("replace", "v5")


def test_the_smaller_version_in_an_old_process_is_started_anew() -> None:
    large = replace(LARGE, version="v4")
    assert look([large], limit_bytes=LIMIT, smaller=Smaller("v4")).kind == "replace"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with v3, the champion, which is no MobileBERT."""
    made = Registry(open_store(str(tmp_path / "artifacts")))
    made.move_champion(
        made.publish(candidate_in(tmp_path / "first")), expected=None, who="a test", why="first"
    )
    return made


def publish(registry: Registry, tmp_path: Path, *, passed: bool | None, **changes: str) -> str:
    """Publish a version that is a MobileBERT unless `changes` say otherwise."""
    folder = candidate_in(tmp_path / f"candidate-{len(registry.versions())}")
    file = folder / "manifest.json"
    manifest = Manifest.model_validate_json(file.read_text())
    changes = {"backbone": "mobilebert-distilled", **changes}
    file.write_text(manifest.model_copy(update=changes).model_dump_json())
    return registry.publish(
        folder, gate=None if passed is None else {"passed": passed, "reasons": []}
    )


def promote(registry: Registry, version: str) -> None:
    registry.move_champion(version, expected=registry.champion(), who="a test", why="a test")


def test_the_newest_mobilebert_that_passed_its_gate_is_chosen(
    registry: Registry, tmp_path: Path
) -> None:
    assert smaller_version(registry, done=[], now=NOW).version is None
    publish(registry, tmp_path, passed=False)
    publish(registry, tmp_path, passed=None)
    publish(registry, tmp_path, passed=True, backbone="all-MiniLM-L6-v2")
    nothing = smaller_version(registry, done=[], now=NOW)
    assert nothing == Smaller(None, "no MobileBERT version has passed its gate")
    publish(registry, tmp_path, passed=True, backbone="x", kind="MobileBERT-real")
    newest = publish(registry, tmp_path, passed=True)
    assert smaller_version(registry, done=[], now=NOW) == Smaller(newest)


def test_the_champion_itself_is_chosen_when_it_is_one(registry: Registry, tmp_path: Path) -> None:
    first = publish(registry, tmp_path, passed=True)
    publish(registry, tmp_path, passed=True)
    promote(registry, first)
    assert smaller_version(registry, done=[], now=NOW) == Smaller(first)


def test_one_that_a_person_replaced_does_not_come_back_by_itself(
    registry: Registry, tmp_path: Path
) -> None:
    version = publish(registry, tmp_path, passed=True)
    promote(registry, version)
    promote(registry, "v3")
    chosen = smaller_version(registry, done=[], now=NOW)
    assert chosen.version is None
    assert "promote it by hand" in chosen.why_none


def test_a_replacement_that_failed_is_not_tried_again_within_the_hour(
    registry: Registry, tmp_path: Path
) -> None:
    version = publish(registry, tmp_path, passed=True)
    failed = entry(version, when=NOW, error="a golden query was missed")
    soon = smaller_version(registry, done=[failed], now=NOW + timedelta(minutes=59))
    assert soon == Smaller(None, f"{version} could not replace them at 12:00 UTC")
    later = smaller_version(registry, done=[failed], now=NOW + timedelta(minutes=61))
    assert later.version == version


def entry(version: str, *, when: datetime = NOW, error: str | None = None) -> Replacement:
    return Replacement(
        version=version,
        previous="v3",
        who="a test",
        when=when,
        why="a test",
        limit_bytes=LIMIT,
        before_bytes={"a": 2},
        after_bytes={"b": 1},
        error=error,
    )


def test_entries_are_added_and_never_changed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first, second = entry("v4"), entry("v5", error="no room")
    Replacements(store).add(first)
    Replacements(store).add(second)
    assert Replacements(store).all() == [first, second]
    assert len(list((tmp_path / "models" / "replacements").glob("*.json"))) == 2
