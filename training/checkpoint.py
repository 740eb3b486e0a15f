"""Where a training stands after an epoch, in two files: what a worker that starts anew needs.

The model's frozen part is not in it: that comes from where the training began. No pickle.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

TENSORS: Final = "progress.safetensors"
STATE: Final = "progress.json"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training side; losses are mean cross-entropies, `seconds` wall clock."""

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """A training after its last whole epoch. Going on from here gives what not stopping gives.

    `tensors` are named `model/...` and `best/...` (the trained parameters now and at the best
    epoch), `optimiser/ROW/...`, and `random` (workers, bytes). `state` is JSON: what optimiser,
    schedule and shuffler hold beside tensors.
    """

    epochs: tuple[Epoch, ...]
    best_epoch: int
    tensors: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]
    resumed: int = 0
    """How often this training was gone on with before."""


def save_progress(progress: Progress, folder: Path) -> None:
    """Write `progress` into an existing folder."""
    save_file(dict(progress.tensors), folder / TENSORS)
    told = {
        "epochs": [asdict(epoch) for epoch in progress.epochs],
        "best_epoch": progress.best_epoch,
        "resumed": progress.resumed,
        "state": progress.state,
    }
    (folder / STATE).write_text(json.dumps(told))


def load_progress(folder: Path) -> Progress:
    """Read what save_progress wrote, its tensors on CPU."""
    told = json.loads((folder / STATE).read_text())
    return Progress(
        epochs=tuple(Epoch(**epoch) for epoch in told["epochs"]),
        best_epoch=told["best_epoch"],
        tensors=load_file(folder / TENSORS),
        state=told["state"],
        resumed=told["resumed"],
    )


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return what the optimiser knows of each parameter, as `optimiser/ROW/NAME`, on CPU."""
    return {
        f"optimiser/{row}/{name}": value.detach().cpu()
        for row, found in optimiser.state_dict()["state"].items()
        for name, value in found.items()
    }


def optimiser_groups(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the optimiser's settings, a JSON object for each group of parameters."""
    groups: list[dict[str, Any]] = optimiser.state_dict()["param_groups"]
    return groups


def restore_optimiser(
    optimiser: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
    *,
    groups: list[dict[str, Any]],
) -> None:
    """Give an optimiser of the same parameters back what the two functions above returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimiser":
            row, _, name = rest.partition("/")
            state.setdefault(int(row), {})[name] = value
    # JSON made lists of the two betas; the fused kernel wants them as they were.
    groups = [{**group, "betas": tuple(group["betas"])} for group in groups]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def gone_on(progress: Progress) -> Progress:
    """Return `progress`, counted as gone on with once more."""
    return replace(progress, resumed=progress.resumed + 1)
