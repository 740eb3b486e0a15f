"""From queries to what a training step takes: rows after the frozen part, batched by length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from contracts.errors import DataError
from models.session import open_tokenizer, prepare
from training.encoder_start import start_folder
from training.examples import Example
from training.intent_model import IntentModel

_JITTER_TOKENS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One query after the frozen part: (tokens, dims), and the number of its intent."""

    hidden: torch.Tensor
    target: int


def frozen_part(
    model: IntentModel,
    examples: Sequence[Example],
    *,
    labels: Sequence[str],
    layers: int,
    device: torch.device,
) -> list[Row]:
    """Take the examples through the part that training does not change, in their order.

    Raises DataError for an intent that is not among `labels`.
    """
    column = {label: number for number, label in enumerate(labels)}
    if unknown := sorted({example.intent for example in examples} - set(column)):
        raise DataError(f"No such intent: {', '.join(unknown)}. Nothing was trained.")
    tokenizer = open_tokenizer(start_folder() / "tokenizer.json")
    texts = [example.text for example in examples]
    rows: dict[int, Row] = {}
    model.eval()
    for batch in prepare(tokenizer, texts, max_batch=64):
        mask = torch.from_numpy(batch.feeds["attention_mask"]).to(device)
        ids = torch.from_numpy(batch.feeds["input_ids"]).to(device)
        hidden = model.lower(ids, mask, layers=layers)
        for place, row in enumerate(batch.rows):
            # A copy, or every row would keep its whole batch in memory.
            kept = hidden[place, : int(mask[place].sum())].clone()
            rows[row] = Row(kept, column[examples[row].intent])
    return [rows[row] for row in range(len(texts))]


def batches(
    rows: Sequence[Row], *, size: int, shuffler: np.random.Generator
) -> Iterator[list[Row]]:
    """Give batches of alike length in any order: hardly any padding, other mates each epoch."""
    jittered = [len(row.hidden) + shuffler.uniform(-_JITTER_TOKENS, _JITTER_TOKENS) for row in rows]
    order = np.argsort(jittered)
    found = [order[start : start + size] for start in range(0, len(order), size)]
    for number in shuffler.permutation(len(found)):
        yield [rows[row] for row in found[number]]


def by_length(rows: Sequence[Row], *, size: int) -> Iterator[list[Row]]:
    """Give batches from short to long, the same each time."""
    ordered = sorted(rows, key=lambda row: len(row.hidden))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def tensors(batch: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hidden states (texts, tokens, dims), mask (texts, tokens) and targets (texts,)."""
    hidden = nn.utils.rnn.pad_sequence([row.hidden for row in batch], batch_first=True)
    lengths = torch.tensor([len(row.hidden) for row in batch])
    mask = (torch.arange(hidden.shape[1])[None, :] < lengths[:, None]).to(torch.int64)
    targets = torch.tensor([row.target for row in batch])
    return hidden, mask.to(hidden.device), targets.to(hidden.device)


def intent_weights(rows: Sequence[Row], *, labels: int, balance: float) -> torch.Tensor | None:
    """Return what a query of each intent weighs, shape (labels,), on average 1 over the rows.

    None when all weigh the same (`balance` 0).
    """
    if balance == 0:
        return None
    found = torch.bincount(torch.tensor([row.target for row in rows]), minlength=labels).double()
    weights = found.clamp(min=1) ** -balance
    weights *= found.sum() / (found * weights).sum()
    return weights.float()
