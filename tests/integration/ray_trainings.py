"""A program of test_ray_train: `FOLDER few` trains some queries on a Ray of its own in four ways,
`FOLDER all` trains all of the project's in two.

Prints one line of JSON. `killed` begins like `alone`, and its worker is killed in an epoch.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.errors import HubError
from tests.training_samples import INTENTS, QUICK, few_checks, few_queries
from training.config import TrainingConfig
from training.examples import QUERIES_FILE, read_examples, read_labels
from training.ray_job import connected
from training.ray_train import TrainedOnRay, train_on_ray
from training.scaling import Scaling
from training.split import hashed_side
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


def twice(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Train the same once without and once with a kill."""
    alone = Run(folder, "alone").train(**given)
    killed = Run(folder, "killed")
    threading.Thread(target=killed.kill_in_second_epoch, daemon=True).start()
    return {"alone": alone, "killed": killed.train(**given)}


def few(folder: Path) -> dict[str, Any]:
    found = twice(folder, FEW)
    found["two"] = Run(folder, "two").train(
        **FEW | {"config": replace(CONFIG, batch=16, epochs=1)},
        scaling=Scaling(workers=2, cpus_per_worker=0.5),
        start=WarmStart(folder / "alone" / "model.safetensors", INTENTS),
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
    return twice(folder, given)


if __name__ == "__main__":
    with connected():
        result = {"few": few, "all": everything}[sys.argv[2]](Path(sys.argv[1]))
    print(json.dumps(result))
