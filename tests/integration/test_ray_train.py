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
    return trainings_of("few", folder, home=home, timeout_s=400)


def without_seconds(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [epoch | {"seconds": 0} for epoch in epochs]


def assert_ends_where_it_would_have(trainings: dict[str, Any]) -> None:
    plain, killed = trainings["plain"], trainings["killed"]
    assert any("going on after epoch 1" in line for line in killed["said"])
    assert killed["record"]["resumed"] == 1
    assert without_seconds(killed["record"]["epochs"]) == without_seconds(plain["epochs"])
    assert killed["weights"] == plain["weights"]


def test_a_worker_killed_in_an_epoch_goes_on_and_ends_where_a_plain_training_ends(
    trainings: dict[str, Any],
) -> None:
    assert_ends_where_it_would_have(trainings)


def test_what_the_workers_say_reaches_the_driver_in_order(trainings: dict[str, Any]) -> None:
    two = trainings["two"]
    asked, began, started, epoch = [line for line in two["said"] if "waiting for" not in line]
    assert asked == "train: asking the cluster for 2 workers with 0.5 CPU each"
    assert began.startswith("train: 2 workers, 36 queries, 1 thread each on cpu; process ")
    assert started == "train: 3 of 3 intents go on from the champion's"
    assert epoch.startswith("train: epoch 1 of 1, loss ")


def test_the_training_thread_yields_and_the_one_that_answers_ray_does_not(
    trainings: dict[str, Any],
) -> None:
    niceness = trainings["two"]["niceness"]
    assert niceness[-1] == 19
    assert niceness[0] == 0


@pytest.mark.prove
def test_so_it_does_over_all_queries(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    found = trainings_of("all", tmp_path, home=tmp_path / "home", timeout_s=4000)
    for epoch in found["plain"]["epochs"]:
        print(epoch)
    assert_ends_where_it_would_have(found)


def test_two_workers_train_together_from_a_champion(trainings: dict[str, Any]) -> None:
    two = trainings["two"]
    assert two["record"]["workers"] == 2
    assert two["record"]["warm_start"] is True
    assert two["record"]["config"]["threads"] == 1
    first = two["record"]["epochs"][0]
    assert first["train_loss"] < trainings["plain"]["epochs"][0]["train_loss"]
    assert first["validation_accuracy"] > 0.8


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
