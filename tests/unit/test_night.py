"""A night's chain: what goes on after what, which status it ends with, and what is remembered."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from ray.exceptions import RayError

from contracts.errors import ArtifactError
from contracts.settings import Settings
from scripts import nightly
from scripts.night import (
    IN_WORDS,
    WELL,
    Night,
    NightRecord,
    Step,
    StepEnd,
    keep,
    status_of,
    summary,
    work_through,
)
from scripts.night_steps import NightSteps
from scripts.nightly import main, spend_night
from store.artifacts import FolderStore
from training.retrain import Retraining
from training.stages.run import End, Exit, RunFolder, begin_run

NIGHT = date(2026, 3, 1)
DONE = StepEnd("done", "fine")


def step(name: str, ends: StepEnd | Exception, *, taken: list[str]) -> Step:
    def work() -> StepEnd:
        taken.append(name)
        if isinstance(ends, Exception):
            raise ends
        return ends

    return Step(name, f"see to the {name}", work)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (DONE, ["snapshot", "label gate", "retrain", "report"]),
        (StepEnd("nothing to do", "no labels"), ["snapshot", "label gate", "report"]),
        (
            StepEnd("stopped", "worse", status=Night.CANDIDATE_WORSE),
            ["snapshot", "label gate", "report"],
        ),
        (ArtifactError("It is damaged."), ["snapshot", "label gate", "report"]),
    ],
)
def test_the_report_is_made_whatever_ended_the_chain(
    gate: StepEnd | Exception, expected: list[str]
) -> None:
    taken: list[str] = []
    ends = {"snapshot": DONE, "label gate": gate, "retrain": DONE}
    records = work_through(
        [step(name, end, taken=taken) for name, end in ends.items()],
        report=step("report", DONE, taken=taken),
    )
    assert taken == expected
    assert [one.name for one in records] == ["snapshot", "label gate", "retrain", "report"]
    left_out = [one.name for one in records if one.word == "left out"]
    assert left_out == ([] if gate is DONE else ["retrain"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ArtifactError("It is damaged."), "It is damaged."),
        (RayError("the cluster went away"), "the cluster went away"),
        (OSError(28, "No space left on device"), "No space left"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug; the log says where"),
    ],
)
def test_a_step_that_fails_says_why_what_is_kept_and_what_to_do(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[str] = []
    snapshot, report = work_through(
        [step("snapshot", error, taken=taken)], report=step("report", DONE, taken=taken)
    )
    assert (snapshot.word, snapshot.status) == ("failed", Night.FAILED)
    assert said in snapshot.said
    assert snapshot.do == "see to the snapshot"
    assert report.word == "done"
    assert ("Traceback" in caplog.text) is isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([DONE, StepEnd("nothing to do", ""), DONE], Night.NOTHING_TO_RETRAIN),
        ([DONE, DONE, StepEnd("done", "", status=Night.PROMOTED), DONE], Night.PROMOTED),
        ([DONE, StepEnd("stopped", "", status=Night.NOT_LIVE), DONE], Night.NOT_LIVE),
        # A night that promoted and has no report is one that somebody looks at.
        ([StepEnd("done", "", status=Night.PROMOTED), OSError("full")], Night.FAILED),
        ([StepEnd("failed", "", status=Night.NO_ROOM), DONE], Night.NO_ROOM),
    ],
)
def test_one_status_tells_how_the_night_went(
    ends: list[StepEnd | Exception], status: Night
) -> None:
    records = [
        *(work_through([], report=step(f"step {n}", end, taken=[])) for n, end in enumerate(ends))
    ]
    assert status_of([one for (one,) in records]) == status


def test_each_end_has_words_of_its_own() -> None:
    assert set(IN_WORDS) == set(Night)
    assert len(set(IN_WORDS.values())) == len(Night)
    assert Night.FAILED not in WELL
    assert {4, 5, 6, 7, 9}.isdisjoint(WELL)


def test_every_run_keeps_a_record_that_a_machine_and_a_person_can_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    gate = StepEnd("nothing to do", "not yet: 3 of 501 verified labels", facts={"counted": 3})
    for second in (1, 2):
        steps = work_through(
            [step("label gate", gate, taken=[])], report=step("report", DONE, taken=[])
        )
        record = NightRecord(
            night=NIGHT,
            begun_at=datetime(2026, 3, 2, 1, 30, second, tzinfo=UTC),
            ended_at=datetime(2026, 3, 2, 1, 31, tzinfo=UTC),
            who="ada",
            status=0,
            outcome=IN_WORDS[Night.NOTHING_TO_RETRAIN],
            steps=tuple(steps),
        )
        key = keep(record, store=store)
    assert key == "nightly/dt=2026-03-01/20260302T013002.000000Z.json"
    assert len(store.keys("nightly/")) == 2
    read = json.loads(store.read(key).content)
    assert read["steps"][0]["facts"] == {"counted": 3}
    lines = summary(record)
    assert lines[0] == "the night of 2026-03-01"
    assert "nothing to do: not yet: 3 of 501 verified labels" in lines[1]
    assert lines[-1] == "all well, nothing to retrain (status 0)"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url="postgresql:///nobody?host=/nowhere")


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    folder = begin_run(settings.runs_dir, champion="v3", who="ada", dataset=None, is_promoted=True)
    folder.write("publish", {"version": "v4", "name": "v4-distilbert-real"})
    return folder


@pytest.mark.parametrize(
    ("ended", "swapped", "word", "status", "hint"),
    [
        (Exit.DONE, True, "done", Night.PROMOTED, ""),
        (Exit.DONE, False, "done", Night.WAITS, "promote v4"),
        (Exit.DONE, None, "done", Night.WAITS, "promote v4"),
        (Exit.NOT_ENOUGH_LABELS, None, "nothing to do", Night.NOTHING_TO_RETRAIN, ""),
        (Exit.LABELS_INCONSISTENT, None, "stopped", Night.LABELS_INCONSISTENT, "suspects.jsonl"),
        (Exit.CANDIDATE_WORSE, None, "stopped", Night.CANDIDATE_WORSE, "v4/model_card.html"),
        (Exit.SWAP_FAILED, False, "stopped", Night.SWAP_FAILED, "promote v4"),
        (Exit.NOT_LIVE, True, "stopped", Night.NOT_LIVE, "version before serves"),
        (Exit.ANOTHER_RUNS, None, "left out", Night.ANOTHER_RUNS, "Run it again"),
        (Exit.NO_ROOM, None, "failed", Night.NO_ROOM, "so does the champion"),
        (Exit.FAILED, None, "failed", Night.FAILED, "so does the champion"),
    ],
)
def test_each_end_of_a_retraining_says_what_became_of_it_and_what_to_do(
    settings: Settings,
    run: RunFolder,
    ended: Exit,
    swapped: bool | None,
    word: str,
    status: Night,
    hint: str,
) -> None:
    if swapped is not None:
        run.write("swap", {"version": "v4", "swapped": swapped})
    steps = NightSteps(
        settings,
        "",
        NIGHT,
        learn=lambda settings, is_promoted: Retraining(End(ended, ("because",)), run),
    )
    end = steps.retrain()
    assert (end.word, end.status) == (word, status)
    assert hint in end.do
    assert (end.said == "because") is (ended != Exit.DONE)
    assert end.facts == {"run": run.path.name, "version": "v4"}


def no_steps(settings: Settings, url: str, night: date) -> NightSteps:
    raise AssertionError("there is no database to do anything with")


def test_a_night_without_a_database_fails_with_a_record(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spend_night(settings, night=NIGHT, make_steps=no_steps) == Night.FAILED
    said = capsys.readouterr().out
    assert "See to the database, and run it again" in said
    (file,) = (settings.home_dir / "artifacts" / "nightly" / "dt=2026-03-01").iterdir()
    (record,) = json.loads(file.read_text())["steps"]
    assert (record["name"], record["word"]) == ("database", "failed")


def test_a_record_that_cannot_be_written_is_said_and_the_night_failed(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = settings.model_copy(update={"artifacts": "s3://nowhere"})
    assert spend_night(elsewhere, night=NIGHT, make_steps=no_steps) == Night.FAILED
    assert "The record of this night could not be written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("night", "plain"),
    [(night, 0 if night in (0, 8, 10, 11) else int(night)) for night in Night],
)
def test_a_scheduler_may_ask_for_a_plain_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, night: Night, plain: int
) -> None:
    def spent(settings: Settings, **options: object) -> Night:
        return night

    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    monkeypatch.setattr(nightly, "spend_night", spent)
    assert main([]) == night
    assert main(["--plain-status"]) == plain
