"""How a version is trained: numbers only, so that a recipe can be read without torch."""

from dataclasses import dataclass
from typing import Literal

Backbone = Literal["distilbert", "mobilebert"]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a version is trained. The defaults are what v3 is made with."""

    seed: int = 17
    epochs: int = 4
    batch: int = 32
    """Queries a step, of all workers together."""
    learning_rate: float = 4e-4
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    """Share of the steps in which the rates rise; after it, they fall linearly to zero."""
    label_smoothing: float = 0.05
    dropout: float = 0.1
    class_balance: float = 0.0
    """How much more a query of a rare intent weighs: its intent's frequency to the power of minus
    this. 0: all queries weigh the same; 0.5: the inverse square root; 1: all intents do."""
    patience_epochs: int = 2
    """Epochs without a better validation loss after which training stops."""
    frozen_layers: int = 3
    """The word table and so many of the lowest layers stay as pretrained. What they make of a
    query is computed once, not once an epoch; and words that training never saw stay near those
    that it saw."""
    threads: int = 2
    bf16: bool | None = None
    """None: where the processor multiplies in bfloat16 by itself; elsewhere it would be slower."""
    backbone: Backbone = "distilbert"
    pretrained: str | None = None
    """A pretrained MobileBERT's folder or model hub id; None: one is cut from the default."""
