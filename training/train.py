"""Fine-tune the classifier: a plain function of examples and a config, alone or as one of many.

`training.ray_train` runs it in the workers of a cluster; the first version runs it in a process.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from contracts.errors import DataError
from training.checkpoint import Epoch, Progress, gone_on
from training.config import TrainingConfig
from training.course import Course
from training.examples import Example
from training.intent_model import IntentModel, new_model
from training.peers import ALONE, Peers
from training.warm_start import WarmStart, load_start

Report = Callable[[str], None]
Keep = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """The model at its best epoch, on CPU in fp32 and evaluation mode."""

    model: IntentModel
    labels: tuple[str, ...]
    best_epoch: int
    epochs: tuple[Epoch, ...] = field(default=())
    resumed: int = 0
    """How often it was gone on with after an interruption."""


def train(
    examples: Sequence[Example],
    *,
    validation: Sequence[Example],
    labels: Sequence[str],
    config: TrainingConfig,
    start: WarmStart | None = None,
    device: str = "cpu",
    peers: Peers = ALONE,
    earlier: Progress | None = None,
    keep: Keep | None = None,
    report: Report = print,
) -> Trained:
    """Train on `examples`, keep the epoch with the least loss on `validation`.

    Begins at the pretrained encoder, or at the version of `start`. `keep` gets the progress after
    each epoch; with that as `earlier`, and else equal arguments, the result is as if there had
    been no interruption. All workers of `peers` call it with equal arguments but for those two;
    any number of them makes the same steps, up to their dropout.

    Two calls with equal arguments and threads give equal weights on one machine. `report` gets a
    line an epoch and a few between. The process's torch threads are bounded for good. Raises
    DataError for examples that cannot be trained on, TrainingDiverged.
    """
    if not examples or not validation:
        raise DataError("There must be examples to train on and to validate with.")
    torch.set_num_threads(max(1, min(config.threads, os.cpu_count() or 1)))
    torch.manual_seed(config.seed)
    model = new_model(config, labels=len(labels))
    if start is not None:
        load_start(model, start, labels=labels)
        report(f"train: {start.describe(labels)}")
    if peers.rank > 0:
        torch.manual_seed(config.seed + peers.rank)  # dropout of its own, from equal weights
    course = Course(
        model.to(device),
        examples=examples,
        validation=validation,
        labels=labels,
        config=config,
        device=torch.device(device),
        peers=peers,
        report=report,
    )
    if earlier is not None:
        course.restore(gone_on(earlier))
        report(f"train: going on after epoch {len(earlier.epochs)} of {config.epochs}")
    for number in range(len(course.epochs) + 1, config.epochs + 1):
        if number - 1 - course.best_epoch >= config.patience_epochs and course.epochs:
            report(f"train: no better since epoch {course.best_epoch}, stopping")
            break
        epoch = course.take_epoch(number)
        report(
            f"train: epoch {number} of {config.epochs}, loss {epoch.train_loss:.3f},"
            f" validation {epoch.validation_accuracy:.1%} at {epoch.validation_loss:.3f},"
            f" {epoch.seconds:.0f} s"
        )
        if keep is not None:
            keep(course.progress())
    return Trained(
        course.best_model(),
        tuple(labels),
        course.best_epoch,
        tuple(course.epochs),
        resumed=course.resumed,
    )
