"""The workers that train one model together: what each takes, and how their sums are made.

Every worker holds the same weights and sees the same batches in the same order; of each batch it
takes its share. Their gradients are added before a step, so all make the same step. The model is
not wrapped (DistributedDataParallel), because a step runs only the model's upper part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import torch
import torch.distributed
from torch import nn

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Peers:
    """This worker's number and how many there are; torch.distributed is set up unless alone."""

    rank: int = 0
    count: int = 1

    def own(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return this worker's share: each item is exactly one worker's."""
        return items[self.rank :: self.count]

    def add(self, *values: torch.Tensor) -> None:
        """Put into each tensor the sum of all workers' tensors."""
        if self.count > 1:
            for value in values:
                torch.distributed.all_reduce(value)

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put into each gradient the sum of all workers'; a missing one counts as zero."""
        if self.count == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        # One message for all: hundreds of small ones would take longer than the step.
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self.add(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def gather(self, value: torch.Tensor) -> torch.Tensor:
        """Return all workers' tensors of one shape, in their order: shape (workers, ...)."""
        if self.count == 1:
            return value[None]
        found = [torch.empty_like(value) for _ in range(self.count)]
        torch.distributed.all_gather(found, value)
        return torch.stack(found)


ALONE: Final = Peers()
