"""Train on a Ray cluster, beside what it serves: `train_on_ray`, called by whoever is connected.

Ray Train starts the workers, notices when one dies, and starts them again at the last epoch's
checkpoint. What they say comes back line by line, so that it stands in the terminal and in the
dashboard's job log.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.fs
import ray
from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2.api.config import (
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
)
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError
from ray.train.v2.api.result import Result
from ray.train.v2.torch.torch_trainer import TorchTrainer

from contracts.errors import DataError, HubError, Unschedulable
from training.config import TrainingConfig
from training.examples import Example, examples_digest
from training.ray_fit import STARTS, fit
from training.ray_messages import Lines, TrainingJob
from training.ray_worker import START, WEIGHTS, work
from training.scaling import Scaling
from training.warm_start import WarmStart

Report = Callable[[str], None]


class TrainingFailed(HubError):
    """The training did not come to its end; nothing was published."""


@dataclass(frozen=True, slots=True)
class TrainedOnRay:
    """The best epoch's weights as a file, the labels of its rows, and how it came about.

    `record` is JSON: best_epoch, epochs, config, examples, validation, warm_start, resumed,
    workers, device, seconds.
    """

    weights: Path
    labels: tuple[str, ...]
    record: dict[str, Any]


def train_on_ray(
    examples: Sequence[Example],
    *,
    validation: Sequence[Example],
    labels: Sequence[str],
    config: TrainingConfig,
    start: WarmStart | None,
    scaling: Scaling,
    storage: str,
    name: str,
    into: Path,
    report: Report,
) -> TrainedOnRay:
    """Train with the cluster that this process is connected to; leave model.safetensors in `into`.

    As `training.train.train`, with the threads of `scaling`. `storage` (a folder or gs://...) is
    where every node of the cluster reads and writes; under `name` and a hash of all that decides
    lie the checkpoints, until the training is done: after a failure the same call goes on from
    there. `report` gets the workers' lines as they come.

    Raises Unschedulable when there is no room within the scaling's time, DataError for examples
    that cannot be trained on, TrainingFailed.
    """
    began = time.monotonic()
    if not examples or not validation:
        raise DataError("There must be examples to train on and to validate with.")
    if unknown := sorted({e.intent for e in (*examples, *validation)} - set(labels)):
        raise DataError(f"No such intent: {', '.join(unknown)}. Nothing was trained.")
    config = replace(config, threads=scaling.threads)
    on_gpu = scaling.on_gpu(_resources())
    root = storage if "://" in storage else str(Path(storage).resolve())
    store, path = pyarrow.fs.FileSystem.from_uri(root)
    deciding = [labels, asdict(config), scaling.workers, on_gpu, _start_digest(start)]
    digest = hashlib.sha256(
        json.dumps([examples_digest(examples), examples_digest(validation), *deciding]).encode()
    )
    run = f"{name}-{digest.hexdigest()[:12]}"
    store.create_dir(f"{path}/{run}")
    if start is not None:
        pyarrow.fs.copy_files(
            str(start.weights.resolve()), f"{path}/{run}/{START}", destination_filesystem=store
        )
    lines: Any = ray.remote(Lines).options(num_cpus=0).remote()
    job = TrainingJob(
        examples=tuple(examples),
        validation=tuple(validation),
        labels=tuple(labels),
        config=config,
        start_labels=start.labels if start else None,
        retired=dict(start.retired) if start else {},
        folder=f"{root}/{run}",
        lines=lines,
    )
    trainer = TorchTrainer(
        work,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=scaling.workers,
            use_gpu=on_gpu,
            resources_per_worker=scaling.per_worker(on_gpu=on_gpu),
        ),
        run_config=RunConfig(
            name=run,
            storage_path=root,
            failure_config=FailureConfig(
                max_failures=scaling.restarts, controller_failure_limit=STARTS - 1
            ),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            worker_runtime_env={"env_vars": _worker_environment(config)},
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    report(f"train: asking the cluster for {scaling.asked(on_gpu=on_gpu)}")
    try:
        result = fit(trainer, start_timeout_s=scaling.start_timeout_s, lines=lines, report=report)
    except TrainingFailedError as error:
        if not _has_checkpoint(store, f"{path}/{run}"):
            store.delete_dir(f"{path}/{run}")
        raise _in_a_sentence(error, scaling=scaling, on_gpu=on_gpu) from error
    finally:
        ray.kill(lines)
    record: dict[str, Any] = result.return_value or {}
    if "refused" in record:
        store.delete_dir(f"{path}/{run}")
        raise TrainingFailed(record["refused"])
    weights = _fetch(result, into)
    store.delete_dir(f"{path}/{run}")
    record |= {"seconds": round(time.monotonic() - began, 1)}
    return TrainedOnRay(weights, tuple(labels), record)


def _in_a_sentence(error: TrainingFailedError, *, scaling: Scaling, on_gpu: bool) -> HubError:
    cause = error.controller_failure if isinstance(error, ControllerError) else None
    if isinstance(cause, WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
        free = _resources(free=True)
        return Unschedulable(scaling.refusal(on_gpu=on_gpu, cluster=_resources(), free=free))
    said = str(cause or error).strip().splitlines()
    return TrainingFailed(
        f"Its workers died or failed more than {scaling.restarts} times. The last said:"
        f" {said[-1] if said else type(error).__name__}. The checkpoint of the last whole epoch,"
        " if there was one, is kept, and what serves is as before: the same call goes on from"
        " there."
    )


def _resources(*, free: bool = False) -> dict[str, float]:
    """Return what the cluster has, or what of it nobody holds now, by Ray's names."""
    found: dict[str, float] = ray.available_resources() if free else ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _has_checkpoint(store: pyarrow.fs.FileSystem, folder: str) -> bool:
    entries = store.get_file_info(pyarrow.fs.FileSelector(folder))
    return any(entry.base_name.startswith("checkpoint_") and not entry.is_file for entry in entries)


def _start_digest(start: WarmStart | None) -> list[Any] | None:
    if start is None:
        return None
    with start.weights.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return [weights, start.labels, sorted(start.retired.items())]


def _worker_environment(config: TrainingConfig) -> dict[str, str]:
    """Return what must stand in a worker's environment before torch is loaded."""
    return {
        "OMP_NUM_THREADS": str(config.threads),
        # Threads that wait for each other sleep: spinning ones take the answers' cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        # Equal sums on a GPU, too.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def _fetch(result: Result, into: Path) -> Path:
    """Copy the model out of the last checkpoint, whole or not at all."""
    assert result.checkpoint is not None, "the workers' last report carries the model"
    into.mkdir(parents=True, exist_ok=True)
    draft, weights = into / f".draft-{WEIGHTS}", into / WEIGHTS
    pyarrow.fs.copy_files(
        f"{result.checkpoint.path}/{WEIGHTS}",
        str(draft.resolve()),
        source_filesystem=result.checkpoint.filesystem,
    )
    os.replace(draft, weights)
    return weights
