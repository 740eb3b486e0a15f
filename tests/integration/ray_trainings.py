"""A program of test_ray_train: `FOLDER few` trains some queries on a Ray of its own in three ways,
`FOLDER all` trains all of the project's in one.

Prints one line of JSON. `plain` is the same training in this process, without Ray; that of
`killed` has its worker killed in an epoch.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from contracts.errors import HubError
from tests.training_samples import INTENTS, QUICK, few_checks, few_queries
from training.config import TrainingConfig
from training.examples import QUERIES_FILE, read_examples, read_labels
from training.ray_job import connected
from training.ray_train import TrainedOnRay, train_on_ray
from training.scaling import Scaling
from training.split import hashed_side
from training.train import train
from training.warm_start import WarmStart

CONFIG = replace(QUICK, batch=2, epochs=2)
"""Steps enough that an epoch takes a second: there is a middle to be killed in."""

FEW = {
    "examples": few_queries(),
    "validation": few_checks(),
    "labels": INTENTS,
    "config": CONFIG,
}


class Run:
    """One training: what was said, what came of it, what its worker's threads yield."""

    def __init__(self, folder: Path, name: str) -> None:
        self.storage, self.into, self._name = folder / "storage", folder / name, name
        self.said: list[str] = []
        self.niceness: set[int] = set()
        self.pid = 0

    def report(self, line: str) -> None:
        self.said.append(line)
        if "; process " in line:
            self.pid = int(line.rpartition(" ")[2])
        elif "epoch 1 of" in line:
            for thread in Path(f"/proc/{self.pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    self.niceness.add(os.getpriority(os.PRIO_PROCESS, int(thread.name)))

    def train(self, **given: Any) -> dict[str, Any]:
        began = time.monotonic()
        arguments: dict[str, Any] = {
            "start": None,
            "scaling": Scaling(),
            "storage": str(self.storage),
            "name": self._name,
            "into": self.into,
            "report": self.report,
        }
        found: dict[str, Any] = {"said": self.said}
        try:
            trained: TrainedOnRay = train_on_ray(**(arguments | given))
        except HubError as error:
            found |= {"error": type(error).__name__, "sentence": str(error)}
        else:
            weights = hashlib.sha256(trained.weights.read_bytes()).hexdigest()
            found |= {"record": trained.record, "weights": weights}
        return found | {
            "took_s": time.monotonic() - began,
            "niceness": sorted(self.niceness),
            "left": sorted(entry.name for entry in self.storage.iterdir()),
        }

    def kill_in_second_epoch(self) -> None:
        """Wait for the first epoch's checkpoint, and kill the worker a moment later."""
        while not list(self.storage.glob("*/checkpoint_manager_snapshot.json")):
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(self.pid, signal.SIGKILL)


def plain(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Train in this process."""
    examples, config = given["examples"], replace(given["config"], threads=1)
    rest = {name: given[name] for name in ("validation", "labels")}
    trained = train(examples, config=config, report=lambda line: None, **rest)
    file = folder / "plain.safetensors"
    save_file(trained.model.state_dict(), file)
    return {
        "epochs": [asdict(epoch) for epoch in trained.epochs],
        "weights": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def killed(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    run = Run(folder, "killed")
    threading.Thread(target=run.kill_in_second_epoch, daemon=True).start()
    return run.train(**given)


def few(folder: Path) -> dict[str, Any]:
    found = {"plain": plain(folder, FEW), "killed": killed(folder, FEW)}
    found["two"] = Run(folder, "two").train(
        **FEW | {"config": replace(CONFIG, batch=16, epochs=1)},
        scaling=Scaling(workers=2, cpus_per_worker=0.5),
        start=WarmStart(folder / "plain.safetensors", INTENTS),
    )
    found["no room"] = Run(folder, "no-room").train(
        **FEW, scaling=Scaling(workers=3, start_timeout_s=2.0)
    )
    return found


def everything(folder: Path) -> dict[str, Any]:
    labels = read_labels()
    queries = read_examples(QUERIES_FILE, labels=labels)
    given = {
        "examples": [query for query in queries if hashed_side(query.text) == "train"],
        "validation": [query for query in queries if hashed_side(query.text) == "validation"],
        "labels": labels,
        "config": TrainingConfig(epochs=3, class_balance=0.5),
    }
    return {"plain": plain(folder, given), "killed": killed(folder, given)}


if __name__ == "__main__":
    with connected():
        result = {"few": few, "all": everything}[sys.argv[2]](Path(sys.argv[1]))
    print(json.dumps(result))
