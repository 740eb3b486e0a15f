"""Fine-tune the classifier. A plain function of examples and a config: Ray Train wraps it later."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import nn

from models.session import open_tokenizer, prepare
from training.config import TrainingConfig
from training.encoder_start import start_folder
from training.examples import Example
from training.intent_model import IntentModel

Report = Callable[[str], None]

_JITTER_TOKENS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training side; losses are mean cross-entropies, `seconds` wall clock."""

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The model at its best epoch, on CPU in fp32 and evaluation mode."""

    model: IntentModel
    labels: tuple[str, ...]
    best_epoch: int
    epochs: tuple[Epoch, ...] = field(default=())


def train(
    examples: Sequence[Example],
    *,
    validation: Sequence[Example],
    labels: Sequence[str],
    config: TrainingConfig,
    report: Report = print,
) -> Trained:
    """Train on `examples`, keep the epoch with the least loss on `validation`.

    Two calls with equal arguments and threads give equal weights on one machine. `report` gets a
    line an epoch and a few between. The process's torch threads are bounded for good.
    """
    torch.set_num_threads(max(1, min(config.threads, os.cpu_count() or 1)))
    torch.manual_seed(config.seed)
    shuffler = np.random.default_rng(config.seed)
    bf16 = torch.cpu._is_avx512_bf16_supported() if config.bf16 is None else config.bf16
    model = IntentModel(len(labels), dropout=config.dropout)
    model.freeze(layers=config.frozen_layers)
    autocast = partial(torch.autocast, "cpu", dtype=torch.bfloat16, enabled=bf16)
    with autocast():
        rows = _frozen_part(model, examples, labels=labels, config=config)
        checks = _frozen_part(model, validation, labels=labels, config=config)
    steps = config.epochs * -(-len(rows) // config.batch)
    optimiser, schedule = _optimiser(model, config=config, steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    best: tuple[float, int, dict[str, torch.Tensor]] | None = None
    epochs: list[Epoch] = []
    for number in range(1, config.epochs + 1):
        began, total, told = time.monotonic(), 0.0, time.monotonic()
        model.train()
        for done, batch in enumerate(_batches(rows, size=config.batch, shuffler=shuffler), start=1):
            hidden, mask, targets = _tensors(batch)
            with autocast():
                logits = model.upper(hidden, mask, layers=config.frozen_layers)
            loss = loss_of(logits.float(), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
            total += loss.item() * len(batch)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                report(f"train: epoch {number}, {done * config.batch} of {len(rows)} queries")
        with autocast():
            loss_now, accuracy = _check(model, checks, layers=config.frozen_layers)
        epoch = Epoch(number, total / len(rows), loss_now, accuracy, time.monotonic() - began)
        epochs.append(epoch)
        report(
            f"train: epoch {number} of {config.epochs}, loss {epoch.train_loss:.3f},"
            f" validation {accuracy:.1%} at {loss_now:.3f}, {epoch.seconds:.0f} s"
        )
        if best is None or loss_now < best[0]:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            best = (loss_now, number, weights)
        elif number - best[1] >= config.patience_epochs:
            report(f"train: no better since epoch {best[1]}, stopping")
            break
    if best is not None:
        model.load_state_dict(best[2])
    return Trained(model.eval(), tuple(labels), best[1] if best else 0, tuple(epochs))


@dataclass(frozen=True, slots=True)
class _Row:
    """One query after the frozen part: (tokens, dims), and the number of its intent."""

    hidden: torch.Tensor
    target: int


def _frozen_part(
    model: IntentModel,
    examples: Sequence[Example],
    *,
    labels: Sequence[str],
    config: TrainingConfig,
) -> list[_Row]:
    """Take the examples through the part that training does not change, in their order."""
    column = {label: number for number, label in enumerate(labels)}
    tokenizer = open_tokenizer(start_folder() / "tokenizer.json")
    texts = [example.text for example in examples]
    rows: dict[int, _Row] = {}
    model.eval()
    for batch in prepare(tokenizer, texts, max_batch=64):
        mask = torch.from_numpy(batch.feeds["attention_mask"])
        ids = torch.from_numpy(batch.feeds["input_ids"])
        hidden = model.lower(ids, mask, layers=config.frozen_layers)
        for place, row in enumerate(batch.rows):
            # A copy, or every row would keep its whole batch in memory.
            kept = hidden[place, : int(mask[place].sum())].clone()
            rows[row] = _Row(kept, column[examples[row].intent])
    return [rows[row] for row in range(len(texts))]


def _batches(
    rows: Sequence[_Row], *, size: int, shuffler: np.random.Generator
) -> Iterator[list[_Row]]:
    """Give batches of alike length in any order: hardly any padding, other mates each epoch."""
    jittered = [len(row.hidden) + shuffler.uniform(-_JITTER_TOKENS, _JITTER_TOKENS) for row in rows]
    order = np.argsort(jittered)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    for number in shuffler.permutation(len(batches)):
        yield [rows[row] for row in batches[number]]


def _tensors(batch: Sequence[_Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hidden states (texts, tokens, dims), mask (texts, tokens) and targets (texts,)."""
    hidden = nn.utils.rnn.pad_sequence([row.hidden for row in batch], batch_first=True)
    lengths = torch.tensor([len(row.hidden) for row in batch])
    mask = (torch.arange(hidden.shape[1])[None, :] < lengths[:, None]).to(torch.int64)
    return hidden, mask, torch.tensor([row.target for row in batch])


def _optimiser(
    model: IntentModel, *, config: TrainingConfig, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    body = [value for value in model.pooled.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": body, "lr": config.learning_rate},
            {"params": model.head.parameters(), "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
        fused=True,
    )
    warmup = max(1, round(config.warmup * steps))

    def share(step: int) -> float:
        return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def _check(model: IntentModel, rows: Sequence[_Row], *, layers: int) -> tuple[float, float]:
    """Return the mean cross-entropy and the share of right answers."""
    model.eval()
    loss, right = 0.0, 0
    ordered = sorted(rows, key=lambda row: len(row.hidden))
    with torch.no_grad():
        for start in range(0, len(ordered), 64):
            hidden, mask, targets = _tensors(ordered[start : start + 64])
            logits = model.upper(hidden, mask, layers=layers).float()
            loss += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
            right += int((logits.argmax(dim=1) == targets).sum())
    return loss / max(1, len(rows)), right / max(1, len(rows))
