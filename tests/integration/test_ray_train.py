"""Trainings by Ray Train in a Ray of their own: equal results, a killed worker, no room."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import PROJECT


def trainings_of(what: str, folder: Path, *, home: Path, timeout_s: float) -> dict[str, Any]:
    """Return what the program found, and what it left in the home folder that it was given."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.integration.ray_trainings", str(folder), what],
        cwd=PROJECT,
        # Ray starts workers at niceness 15: beside others that work, minutes.
        env={**os.environ, "HOME": str(home), "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert program.returncode == 0, program.stderr
    *chatter, result = [*program.stderr.splitlines(), *program.stdout.splitlines()]
    found: dict[str, Any] = json.loads(result)
    return found | {"home": [entry.name for entry in home.iterdir()], "chatter": chatter}


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, home = tmp_path_factory.mktemp("trainings"), tmp_path_factory.mktemp("home")
    return trainings_of("few", folder, home=home, timeout_s=180)


def epochs_of(training: dict[str, Any]) -> list[dict[str, float]]:
    return [epoch | {"seconds": 0} for epoch in training["record"]["epochs"]]


def test_one_worker_trains_and_says_how_far_it_is(trainings: dict[str, Any]) -> None:
    alone = trainings["alone"]
    asked, began, *epochs = [line for line in alone["said"] if "waiting for room" not in line]
    assert asked == "train: asking the cluster for 1 worker with 1 CPU"
    assert began.startswith("train: 1 worker, 36 queries, 1 thread each on cpu; process ")
    assert [line.partition(",")[0] for line in epochs] == [
        "train: epoch 1 of 2",
        "train: epoch 2 of 2",
    ]
    record = alone["record"]
    assert record["workers"] == 1
    assert record["resumed"] == 0
    assert record["config"]["threads"] == 1
    assert record["epochs"][-1]["validation_accuracy"] > 0.8


def test_the_training_thread_yields_and_the_one_that_answers_ray_does_not(
    trainings: dict[str, Any],
) -> None:
    niceness = trainings["alone"]["niceness"]
    assert niceness[-1] == 19
    assert niceness[0] == 0


def assert_ends_where_it_would_have(trainings: dict[str, Any]) -> None:
    alone, killed = trainings["alone"], trainings["killed"]
    assert any("going on after epoch 1" in line for line in killed["said"])
    assert killed["record"]["resumed"] == 1
    assert epochs_of(killed) == epochs_of(alone)
    assert killed["weights"] == alone["weights"]


def test_a_worker_killed_in_an_epoch_goes_on_and_ends_where_the_other_ended(
    trainings: dict[str, Any],
) -> None:
    assert_ends_where_it_would_have(trainings)


@pytest.mark.prove
def test_so_it_does_over_all_queries(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    found = trainings_of("all", tmp_path, home=tmp_path / "home", timeout_s=1800)
    for epoch in found["alone"]["record"]["epochs"]:
        print(epoch)
    assert_ends_where_it_would_have(found)


def test_two_workers_train_together_from_a_champion(trainings: dict[str, Any]) -> None:
    two = trainings["two"]
    assert two["record"]["workers"] == 2
    assert two["record"]["warm_start"] is True
    assert "train: 3 of 3 intents go on from the champion's" in two["said"]
    assert (
        two["record"]["epochs"][0]["train_loss"]
        < trainings["alone"]["record"]["epochs"][0]["train_loss"]
    )


def test_a_job_without_room_ends_in_time_with_what_to_do(trainings: dict[str, Any]) -> None:
    refused = trainings["no room"]
    assert refused["error"] == "Unschedulable"
    assert refused["sentence"].startswith(
        "The cluster has no room for this job."
        " Asked for was 3 workers with 1 CPU each; the cluster has "
    )
    assert "within 2 s" in refused["sentence"]
    assert "HUB_TRAIN_WORKERS" in refused["sentence"]
    assert refused["took_s"] < 45, "60 s is the default"


def test_nothing_is_left_behind(trainings: dict[str, Any]) -> None:
    assert trainings["no room"]["left"] == []
    assert "ray_results" not in trainings["home"]


def test_ray_says_nothing_but_that_a_worker_was_killed(trainings: dict[str, Any]) -> None:
    said = [line for line in trainings["chatter"] if "A worker died or was killed" not in line]
    assert said == []
