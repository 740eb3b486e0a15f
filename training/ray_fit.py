"""A Ray Train run, watched: it ends well or raises, and what its workers say is handed on."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import ray
from ray.actor import ActorHandle
from ray.train.v2.api.result import Result
from ray.train.v2.torch.torch_trainer import TorchTrainer

Report = Callable[[str], None]

STARTS: Final = 2
"""How often Ray Train asks for room: a worker may also die while it starts, and is tried again."""


def fit(
    trainer: TorchTrainer, *, start_timeout_s: float, lines: ActorHandle[Any], report: Report
) -> Result:
    """Run the trainer to its end, and hand on meanwhile what its workers say.

    The trainer has a thread of its own, so that Ctrl-C reaches us and not a handler of Ray's.
    Raises Ray Train's TrainingFailedError; when there was no room for `start_timeout_s`, too.
    """
    ended: list[Any] = []  # a Result, or why there is none

    def run() -> None:
        try:
            ended.append(trainer.fit())
        except BaseException as error:  # noqa: BLE001 it is raised below, by whoever waits
            ended.append(error)

    def hand_on() -> bool:
        said: list[str] = ray.get(lines.take.remote())
        for line in said:
            report(line)
        return bool(said)

    thread = threading.Thread(target=run, name="trainer", daemon=True)
    with _ray_train_settings(start_timeout_s):
        thread.start()
        began, told = time.monotonic(), time.monotonic()
        while thread.is_alive():
            thread.join(0.25)
            if hand_on():
                told = math.inf  # from now on they tell it themselves
            elif time.monotonic() - told > 15:
                told = time.monotonic()
                report(f"train: waiting for room and workers for {told - began:.0f} s")
    hand_on()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    result: Result = ended[0]
    return result


@contextmanager
def _ray_train_settings(start_timeout_s: float) -> Iterator[None]:
    """Set what Ray Train reads from its driver's environment and from nowhere else."""
    ours: Mapping[str, str] = {
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(start_timeout_s / STARTS),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        # One more process, for workers that want to hear of a node's end; ours need not.
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }
    before = {key: os.environ.get(key) for key in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
