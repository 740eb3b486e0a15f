"""Between the champion and what was trained from it: how far to go, said by the validation side.

The weights of a network and of its fine-tuned self can be averaged, and the average is often better
than both: it keeps what the first knew and has most of what the second learned (Wortsman et al.
2022, "Robust fine-tuning of zero-shot models").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from training.batches import Row, by_length, frozen_part, tensors
from training.config import TrainingConfig
from training.examples import Example
from training.intent_model import IntentModel, new_model
from training.warm_start import WarmStart, load_start

SHARES: Final = (1.0, 0.8, 0.6, 0.4)
"""How much of the way is tried; 1 is what was trained, 0 the champion."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Blend:
    """The share that was taken, and the validation loss (mean cross-entropy) of each tried."""

    share: float
    losses: Mapping[float, float]


def blend(
    weights: Path,
    *,
    start: WarmStart,
    validation: Sequence[Example],
    labels: Sequence[str],
    config: TrainingConfig,
    report: Report = print,
) -> Blend:
    """Replace the trained `weights` by the best blend with `start`, and say which that is.

    The head of a new intent begins nowhere, so it is as trained at any share. Raises ArtifactError
    when the start is of another backbone.
    """
    torch.set_num_threads(config.threads)
    model = new_model(config, labels=len(labels))
    trained = load_file(weights)
    # Where the start has no row of an intent, the trained one stays.
    model.load_state_dict(trained)
    load_start(model, start, labels=labels)
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    # What training leaves alone is the same in both, so it is computed once.
    checks = frozen_part(
        model,
        validation,
        labels=labels,
        layers=config.frozen_layers,
        device=torch.device("cpu"),
    )
    losses = {}
    for share in SHARES:
        model.load_state_dict(_between(begun, trained, share=share))
        losses[share] = _loss(model, checks, layers=config.frozen_layers)
        report(f"train: {share:.0%} of the way from the champion, validation {losses[share]:.3f}")
    best = min(SHARES, key=lambda share: losses[share])
    save_file(_between(begun, trained, share=best), weights)
    return Blend(best, losses)


def _between(
    begun: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor], *, share: float
) -> dict[str, torch.Tensor]:
    return {
        name: (begun[name] + share * (value - begun[name])).contiguous()
        for name, value in trained.items()
    }


def _loss(model: IntentModel, checks: Sequence[Row], *, layers: int) -> float:
    model.eval()
    total = 0.0
    with torch.no_grad():
        for batch in by_length(checks, size=64):
            hidden, mask, targets = tensors(batch)
            logits = model.upper(hidden, mask, layers=layers)
            total += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    return total / len(checks)
