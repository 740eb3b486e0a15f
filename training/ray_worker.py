"""What each worker of a Ray Train run does: the one training loop, over its share of each batch."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow.fs
import ray
import ray.train
import ray.train.torch
from safetensors.torch import save_file

from contracts.errors import HubError
from training.checkpoint import Progress, load_progress, save_progress
from training.peers import Peers
from training.ray_messages import TrainingJob
from training.train import Trained, train
from training.warm_start import WarmStart

WEIGHTS: Final = "model.safetensors"
RECORD: Final = "record.json"
START: Final = "start.safetensors"

NICENESS: Final = 19
"""Answers come first."""


def work(given: dict[str, Any]) -> dict[str, Any]:
    """Train as one of the workers; `given["job"]` is a TrainingJob.

    Returns the record of the training, the same on each worker, or `{"refused": sentence}` when
    trying again cannot help. The last checkpoint holds the model.
    """
    # Of this thread and of those that it starts; Ray's own go on answering the controller.
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    job: TrainingJob = given["job"]
    context = ray.train.get_context()
    peers = Peers(context.get_world_rank(), context.get_world_size())
    speaks = peers.rank == 0

    def report(line: str) -> None:
        if speaks:
            ray.get(job.lines.say.remote(line))

    device = str(ray.train.torch.get_device())
    report(
        f"train: {_count(peers.count, 'worker')}, {len(job.examples)} queries,"
        f" {_count(job.config.threads, 'thread')} each on {device}; process {os.getpid()}"
    )
    # Ray made this worker's own folder its working directory: a killed one leaves nothing outside.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        folder = Path(scratch)
        earlier, record = _found(folder)
        if record is not None:
            return record

        def keep(progress: Progress) -> None:
            checkpoint = None
            if speaks:
                save_progress(progress, _empty(folder / "kept"))
                checkpoint = ray.train.Checkpoint.from_directory(folder / "kept")
            last = progress.epochs[-1]
            ray.train.report(asdict(last), checkpoint=checkpoint)

        try:
            trained = train(
                job.examples,
                validation=job.validation,
                labels=job.labels,
                config=job.config,
                start=_start(job, folder),
                device=device,
                peers=peers,
                earlier=earlier,
                keep=keep,
                report=report,
            )
        except HubError as error:
            return {"refused": str(error)}
        record = _record(trained, job=job, workers=peers.count, device=device)
        final = None
        if speaks:
            save_file(trained.model.state_dict(), _empty(folder / "kept") / WEIGHTS)
            (folder / "kept" / RECORD).write_text(json.dumps(record))
            final = ray.train.Checkpoint.from_directory(folder / "kept")
        ray.train.report(record["epochs"][-1], checkpoint=final)
        return record


def _found(folder: Path) -> tuple[Progress | None, dict[str, Any] | None]:
    """Return what an earlier worker left: its progress, or the record when it was done."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None, None
    with checkpoint.as_directory() as left:
        record = Path(left) / RECORD
        if record.is_file():
            return None, json.loads(record.read_text())
        return load_progress(Path(left)), None


def _start(job: TrainingJob, folder: Path) -> WarmStart | None:
    if job.start_labels is None:
        return None
    store, path = pyarrow.fs.FileSystem.from_uri(job.folder)
    pyarrow.fs.copy_files(f"{path}/{START}", str(folder / START), source_filesystem=store)
    return WarmStart(folder / START, job.start_labels, job.retired)


def _record(trained: Trained, *, job: TrainingJob, workers: int, device: str) -> dict[str, Any]:
    return {
        "best_epoch": trained.best_epoch,
        "epochs": [asdict(epoch) for epoch in trained.epochs],
        "config": asdict(job.config),
        "examples": len(job.examples),
        "validation": len(job.validation),
        "warm_start": job.start_labels is not None,
        "resumed": trained.resumed,
        "workers": workers,
        "device": device,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _empty(folder: Path) -> Path:
    """Return `folder`, new or emptied: Ray copies all that is in it."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder
