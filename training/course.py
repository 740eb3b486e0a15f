"""A training under way: one step, one epoch, one look at the validation side; stop and go on."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from contracts.errors import HubError
from training.batches import Row, batches, by_length, frozen_part, intent_weights, tensors
from training.checkpoint import (
    Epoch,
    Progress,
    optimiser_groups,
    optimiser_tensors,
    restore_optimiser,
)
from training.config import TrainingConfig
from training.examples import Example
from training.intent_model import IntentModel
from training.peers import Peers

Report = Callable[[str], None]


class TrainingDiverged(HubError):
    """The training ran away: its loss is no number any more. Nothing was published."""


class Course:
    """A training under way: the model, what moves it, and its best epoch so far."""

    def __init__(
        self,
        model: IntentModel,
        *,
        examples: Sequence[Example],
        validation: Sequence[Example],
        labels: Sequence[str],
        config: TrainingConfig,
        device: torch.device,
        peers: Peers,
        report: Report,
    ) -> None:
        self._model, self._config, self._device = model, config, device
        self._peers, self._report = peers, report
        self._shuffler = np.random.default_rng(config.seed)
        if device.type == "cuda":  # equal sums in every run, where the GPU has a way to them
            torch.use_deterministic_algorithms(True, warn_only=True)
        bf16 = _has_bf16(device) if config.bf16 is None else config.bf16
        self._autocast = partial(
            torch.autocast, device.type, dtype=torch.bfloat16, enabled=bool(bf16)
        )
        model.freeze(layers=config.frozen_layers)
        self._trained = model.trained()
        frozen = partial(
            frozen_part, model, labels=labels, layers=config.frozen_layers, device=device
        )
        with self._autocast():
            self.rows, self._checks = frozen(examples), frozen(validation)
        weights = intent_weights(self.rows, labels=len(labels), balance=config.class_balance)
        self._weights = None if weights is None else weights.to(device)
        self._loss_of = nn.CrossEntropyLoss(
            weight=self._weights, label_smoothing=config.label_smoothing
        )
        steps = config.epochs * -(-len(self.rows) // config.batch)
        self._optimiser, self._schedule = _optimiser(model, config=config, steps=steps)
        self._best: dict[str, torch.Tensor] = {}
        self.best_epoch = 0
        self.epochs: list[Epoch] = []
        self.resumed = 0

    def take_epoch(self, number: int) -> Epoch:
        """Go once over the training side and look at the validation side."""
        began, told = time.monotonic(), time.monotonic()
        total, done = torch.zeros(1, dtype=torch.float64), 0
        self._model.train()
        for batch in batches(self.rows, size=self._config.batch, shuffler=self._shuffler):
            total += self.gradients(batch) * len(batch)
            self._step()
            done += len(batch)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self._report(f"train: epoch {number}, {done} of {len(self.rows)} queries")
        total = total.to(self._device)
        self._peers.add(total)
        loss, accuracy = self._check()
        if not math.isfinite(loss):
            raise TrainingDiverged(f"Epoch {number}; a lower learning rate keeps it on course.")
        seconds = time.monotonic() - began
        epoch = Epoch(number, total.item() / len(self.rows), loss, accuracy, seconds)
        if not self.epochs or loss < self.epochs[self.best_epoch - 1].validation_loss:
            self._best = {name: p.detach().clone() for name, p in self._trained.items()}
            self.best_epoch = number
        self.epochs.append(epoch)
        return epoch

    def gradients(self, batch: Sequence[Row]) -> float:
        """Find the gradients of a batch's mean loss, or this worker's part of the sum that makes
        them; return that part of the loss."""
        own = self._peers.own(batch)
        if not own:
            return 0.0
        hidden, mask, targets = tensors(own)
        with self._autocast():
            logits = self._model.upper(hidden, mask, layers=self._config.frozen_layers)
        loss = self._loss_of(logits.float(), targets)
        if self._peers.count > 1:  # a mean over its share: weighed, so that the parts add up
            loss = loss * (self._mass(own) / self._mass(batch))
        loss.backward()
        return float(loss.item())

    def _step(self) -> None:
        """Make one step with the gradients of all workers."""
        self._peers.add_gradients(list(self._trained.values()))
        nn.utils.clip_grad_norm_(self._trained.values(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)

    def _mass(self, rows: Sequence[Row]) -> float:
        if self._weights is None:
            return float(len(rows))
        return float(self._weights[[row.target for row in rows]].sum())

    def _check(self) -> tuple[float, float]:
        """Return the mean cross-entropy and the share of right answers on the validation side."""
        self._model.eval()
        found = torch.zeros(2, dtype=torch.float64)
        with torch.no_grad(), self._autocast():
            for batch in self._peers.own(list(by_length(self._checks, size=64))):
                hidden, mask, targets = tensors(batch)
                logits = self._model.upper(hidden, mask, layers=self._config.frozen_layers).float()
                found[0] += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
                found[1] += int((logits.argmax(dim=1) == targets).sum())
        found = found.to(self._device)
        self._peers.add(found)
        return found[0].item() / len(self._checks), found[1].item() / len(self._checks)

    def progress(self) -> Progress:
        """Return where the training stands; all workers ask together."""
        parameters = {f"model/{name}": value for name, value in self._trained.items()}
        best = {f"best/{name}": value for name, value in self._best.items()}
        held = {name: value.detach().cpu() for name, value in (parameters | best).items()}
        random = self._peers.gather(_random_state(self._device).to(self._device)).cpu()
        state: dict[str, Any] = {
            "groups": optimiser_groups(self._optimiser),
            "schedule": self._schedule.state_dict(),
            "shuffler": self._shuffler.bit_generator.state,
        }
        return Progress(
            epochs=tuple(self.epochs),
            best_epoch=self.best_epoch,
            tensors={**held, **optimiser_tensors(self._optimiser), "random": random},
            state=state,
            resumed=self.resumed,
        )

    def restore(self, progress: Progress) -> None:
        """Stand where `progress` says."""
        found = progress.tensors
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(found[f"model/{name}"])
        self._best = {name: found[f"best/{name}"].to(self._device) for name in self._trained}
        restore_optimiser(self._optimiser, found, groups=progress.state["groups"])
        self._schedule.load_state_dict(progress.state["schedule"])
        self._shuffler.bit_generator.state = progress.state["shuffler"]
        _set_random_state(self._device, found["random"][self._peers.rank])
        self.epochs, self.best_epoch = list(progress.epochs), progress.best_epoch
        self.resumed = progress.resumed

    def best_model(self) -> IntentModel:
        """Return the model as it was at the best epoch, on CPU and in evaluation mode."""
        with torch.no_grad():
            for name, value in self._best.items():
                self._trained[name].copy_(value)
        return self._model.cpu().eval()


def _optimiser(
    model: IntentModel, *, config: TrainingConfig, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    head = list(model.head.parameters())
    body = [value for name, value in model.trained().items() if not name.startswith("head.")]
    optimiser = torch.optim.AdamW(
        [
            {"params": body, "lr": config.learning_rate},
            {"params": head, "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
        fused=True,
    )
    warmup = max(1, round(config.warmup * steps))

    def share(step: int) -> float:
        return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def _random_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
