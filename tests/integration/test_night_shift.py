"""The night shift over a real database, registry and store; the retraining itself is a fake."""

import json
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import Settings
from contracts.text import digest
from scripts.night import Night
from scripts.night_steps import NightSteps
from scripts.nightly import spend_night
from store.artifacts import open_store
from store.database import Connection
from store.registry import Registry
from tests.review_samples import add_item, add_people
from tests.samples import candidate_in
from training.lineage import VERIFIED
from training.retrain import Retraining
from training.snapshot import Places, SnapshotJob, Taken
from training.stages.run import End, Exit, begin_run

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
SECRET_TEXT = "a question that nobody may read in a record"


class Hub:
    """A hub's database and store, and a retraining that publishes what it is told to."""

    def __init__(self, settings: Settings, connection: Connection, folder: Path) -> None:
        self.settings = settings
        self.connection = connection
        self.registry = Registry(open_store(settings.artifacts_root))
        self.trained: list[str] = []
        self.gate: dict[str, Any] = {"passed": True, "reasons": []}
        self.is_promoted = True
        self._folder = folder
        add_people(connection, ana="reviewer", ben="reviewer")
        self.publish([], source="synthetic_queries.jsonl")
        self.promote("v3")

    def publish(self, texts: Sequence[str], *, source: str = VERIFIED) -> str:
        """Publish a version that was made of these texts."""
        candidate = candidate_in(self._folder / f"candidate-{len(self.registry.versions())}")
        manifest = json.loads((candidate / "manifest.json").read_text())
        manifest["dataset"]["source"] = source
        (candidate / "manifest.json").write_text(json.dumps(manifest))
        split = {"assignment": {digest(text): "train" for text in texts}}
        (candidate / "split.json").write_text(json.dumps(split))
        return self.registry.publish(candidate, gate=self.gate)

    def promote(self, version: str) -> None:
        champion = self.registry.champion()
        self.registry.move_champion(version, expected=champion, who="ada", why="a test")

    def verify(self, *texts: str) -> None:
        """Two people agree on each of these questions."""
        for text in texts:
            item = add_item(self.connection, digest(text)[:40], query_text=text)
            for reviewer in ("ana", "ben"):
                self.connection.execute(
                    "INSERT INTO labels (item_id, reviewer, role, intent, source)"
                    " VALUES (%s, %s, 'reviewer', 'library', 'real')",
                    (item, reviewer),
                )

    def take(self, url: str, settings: Settings, night: date) -> list[Taken]:
        job = SnapshotJob(Places(url, settings.artifacts_root), margin_s=0, report=str)
        return job.take(night)

    def learn(self, settings: Settings, is_promoted: bool) -> Retraining:
        rows = self.connection.execute("SELECT query_text FROM verified_labels").fetchall()
        version = self.publish([text for (text,) in rows])
        self.trained.append(version)
        run = begin_run(
            settings.runs_dir, champion="v3", who="ada", dataset=None, is_promoted=is_promoted
        )
        run.write("publish", {"version": version})
        if not self.gate["passed"]:
            return Retraining(End(Exit.CANDIDATE_WORSE, tuple(self.gate["reasons"])), run)
        if self.is_promoted:
            self.promote(version)
        run.write("swap", {"version": version, "swapped": self.is_promoted})
        return Retraining(End(Exit.DONE), run)

    def spend_night(self, **changes: Any) -> Night:
        steps = partial(NightSteps, take=self.take, learn=self.learn, **changes)
        return spend_night(self.settings, night=YESTERDAY, make_steps=steps)

    def records(self) -> list[dict[str, Any]]:
        store = open_store(self.settings.artifacts_root)
        return [json.loads(store.read(key).content) for key in store.keys("nightly/")]

    def last(self, step: str) -> dict[str, Any]:
        (found,) = (one for one in self.records()[-1]["steps"] if one["name"] == step)
        return found


@pytest.fixture
def hub(database_url: str, connection: Connection, tmp_path: Path) -> Hub:
    settings = Settings(
        home=tmp_path / "home", database_url=database_url, labels_needed=2, retrain_min_new=2
    )
    return Hub(settings, connection, tmp_path)


def texts(count: int, *, first: int = 0) -> list[str]:
    return [f"where may i borrow book {number}" for number in range(first, first + count)]


def test_a_quiet_night_takes_its_snapshot_and_writes_its_report_and_a_second_one_changes_nothing(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.connection.execute(
        "INSERT INTO interaction_log (interaction_id, asked_at, ingested_at, session_id,"
        " query_text, outcome) VALUES ('i', now() - interval '1 day', now() - interval '1 day',"
        " 's', %s, 'confused')",
        (SECRET_TEXT,),
    )
    hub.verify(*texts(2))
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN
    assert hub.last("label gate")["said"] == "not yet: 2 of 3 verified labels"
    assert hub.last("retrain")["word"] == "left out"
    assert hub.last("snapshot")["facts"]["taken"][0] == ["interactions", str(YESTERDAY), 1]
    assert (hub.settings.home_dir / "report.html").is_file()
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN
    assert hub.last("snapshot")["said"] == "there already; it stays"
    assert hub.last("report")["facts"]["real"]["queries"] == 1
    assert len(hub.records()) == 2
    # The page may show what was asked. A record, and the log of a job, may not.
    assert SECRET_TEXT in (hub.settings.home_dir / "report.html").read_text()
    assert SECRET_TEXT not in json.dumps(hub.records()) + capsys.readouterr().out


def test_labels_that_the_champion_learned_are_not_trained_on_again(hub: Hub) -> None:
    hub.verify(*texts(3))
    assert hub.spend_night() == Night.PROMOTED
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN
    assert hub.trained == ["v4"]
    hub.verify(*texts(2, first=10))
    assert hub.spend_night() == Night.PROMOTED
    assert hub.trained == ["v4", "v5"]


def test_what_a_gate_stopped_is_not_made_again_and_stays_said_until_there_is_more(
    hub: Hub,
) -> None:
    hub.gate = {"passed": False, "reasons": ["it forgot what a book is"]}
    hub.verify(*texts(3))
    assert hub.spend_night() == Night.CANDIDATE_WORSE
    assert hub.last("report")["word"] == "done"
    hub.verify(*texts(1, first=10))
    assert hub.spend_night() == Night.CANDIDATE_WORSE
    assert "v4 was made of these labels" in hub.last("label gate")["said"]
    assert "it forgot what a book is; 1 of 2 labels" in hub.last("label gate")["said"]
    assert hub.trained == ["v4"]
    hub.gate = {"passed": True, "reasons": []}
    hub.verify(*texts(1, first=20))
    assert hub.spend_night() == Night.PROMOTED
    assert hub.trained == ["v4", "v5"]


def test_a_version_that_waits_for_a_person_is_not_made_a_second_time(hub: Hub) -> None:
    hub.is_promoted = False
    hub.verify(*texts(3))
    assert hub.spend_night(is_promoted=False) == Night.WAITS
    assert hub.spend_night(is_promoted=False) == Night.WAITS
    assert "registry promote v4" in hub.last("label gate")["do"]
    assert hub.trained == ["v4"]
    hub.promote("v4")
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN


def test_what_a_person_rolled_back_is_not_brought_back(hub: Hub) -> None:
    hub.verify(*texts(3))
    assert hub.spend_night() == Night.PROMOTED
    hub.promote("v3")
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN
    assert "was rolled back" in hub.last("label gate")["said"]
    assert hub.trained == ["v4"]


def test_nothing_new_is_nothing_to_do_even_where_a_person_may_train_on_it(hub: Hub) -> None:
    hub.settings = hub.settings.model_copy(update={"retrain_min_new": 0})
    hub.verify(*texts(3))
    assert hub.spend_night() == Night.PROMOTED
    assert hub.spend_night() == Night.NOTHING_TO_RETRAIN
    assert hub.trained == ["v4"]


def test_a_night_shift_that_runs_already_is_noticed_and_left_alone(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    take = hub.take

    def slowly(url: str, settings: Settings, night: date) -> list[Taken]:
        begun.set()
        assert may_end.wait(30)
        return take(url, settings, night)

    ended: list[Night] = []
    other = threading.Thread(target=lambda: ended.append(hub.spend_night()))
    hub.take = slowly  # type: ignore[method-assign]
    other.start()
    try:
        assert begun.wait(30)
        assert hub.spend_night() == Night.ANOTHER_RUNS
        assert "Another night shift runs" in capsys.readouterr().out
        assert hub.records() == []
    finally:
        may_end.set()
        other.join(30)
    assert ended == [Night.NOTHING_TO_RETRAIN]
    assert len(hub.records()) == 1


def test_a_snapshot_that_cannot_be_taken_trains_nothing_and_is_said(hub: Hub) -> None:
    hub.verify(*texts(3))

    def fails(url: str, settings: Settings, night: date) -> list[Taken]:
        return SnapshotJob(Places(url, settings.artifacts_root), report=str).take(
            YESTERDAY + timedelta(days=1)
        )

    hub.take = fails  # type: ignore[method-assign]
    assert hub.spend_night() == Night.FAILED
    assert "is not over (UTC)" in hub.last("snapshot")["said"]
    assert "Run it again" in hub.last("snapshot")["do"]
    assert hub.last("label gate")["word"] == hub.last("retrain")["word"] == "left out"
    assert hub.last("report")["word"] == "done"
    assert hub.trained == []
