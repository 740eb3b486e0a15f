"""The network that is trained: a backbone, its tokens' mean, one linear layer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import nn

from contracts.errors import ArtifactError
from training.config import TrainingConfig
from training.encoder_start import start_encoder

if TYPE_CHECKING:
    from transformers import DistilBertModel


class IntentModel(nn.Module, ABC):
    """Token ids to one logit an intent, in two parts: `upper(lower(ids))`.

    What trains, continues and exports a model knows no more of it than this, so a backbone is one
    subclass, named in `new_model`. Inputs are (texts, tokens), int64; 0 in the mask is padding.
    """

    head: nn.Linear
    """One row an intent, in the order of the labels."""

    @abstractmethod
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits: shape (texts, labels)."""

    @abstractmethod
    def lower(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Return what the frozen part makes of the ids: (texts, tokens, dims). No gradient.

        The frozen part is the word table and the lowest `layers` layers.
        """

    @abstractmethod
    def upper(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Return the logits of what `lower` made: shape (texts, labels)."""

    @abstractmethod
    def freeze(self, *, layers: int) -> None:
        """Exempt the word table and the lowest `layers` layers from training."""

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


class PooledEncoder(nn.Module):
    """Token ids to one vector a text: the mean over the tokens that are not padding.

    The attention bias is made here, from the mask alone, so that the graph that is exported has
    nothing in it but the arithmetic.
    """

    def __init__(self, encoder: "DistilBertModel") -> None:
        super().__init__()
        # The plain implementation exports to the smallest graph, and is as fast on short texts.
        encoder.set_attn_implementation("eager")
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return shape (texts, dims), not of unit length; inputs (texts, tokens), int64."""
        return self.pool(self.lower(input_ids, attention_mask, layers=0), attention_mask, layers=0)

    def lower(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Return what the embeddings and the lowest `layers` layers make: (texts, tokens, dims)."""
        hidden: torch.Tensor = self.encoder.embeddings(input_ids)
        bias = _attention_bias(attention_mask, hidden)
        for layer in self.encoder.transformer.layer[:layers]:
            hidden = layer(hidden, attention_mask=bias)
        return hidden

    def pool(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Take what `lower` made through the other layers, and return its mean: (texts, dims)."""
        bias = _attention_bias(attention_mask, hidden)
        for layer in self.encoder.transformer.layer[layers:]:
            hidden = layer(hidden, attention_mask=bias)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled: torch.Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return pooled


def _attention_bias(attention_mask: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * -1e9


class DistilBertIntents(IntentModel):
    """The default backbone: all-MiniLM-L6-v2 in DistilBERT's shape."""

    def __init__(self, labels: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.pooled = PooledEncoder(start_encoder())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.pooled.encoder.config.dim, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        return logits

    def lower(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        with torch.no_grad():
            return self.pooled.lower(input_ids, attention_mask, layers=layers)

    def upper(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        pooled = self.pooled.pool(hidden, attention_mask, layers=layers)
        logits: torch.Tensor = self.head(self.dropout(pooled))
        return logits

    def freeze(self, *, layers: int) -> None:
        self.pooled.encoder.embeddings.requires_grad_(False)
        for layer in self.pooled.encoder.transformer.layer[:layers]:
            layer.requires_grad_(False)


def new_model(config: TrainingConfig, *, labels: int) -> IntentModel:
    """Return the pretrained backbone that `config` names, with a random head of `labels` rows.

    Raises ArtifactError when its weights cannot be had.
    """
    if config.backbone == "distilbert":
        return DistilBertIntents(labels, dropout=config.dropout)
    from training.mobilebert import cut_from, pretrained

    if config.pretrained is not None:
        return pretrained(config.pretrained, labels=labels, dropout=config.dropout)
    return cut_from(DistilBertIntents(labels), dropout=config.dropout)


def read_model(weights: Path, *, labels: int, config: TrainingConfig) -> IntentModel:
    """Return the model whose `model.safetensors` is `weights`: on CPU, in evaluation mode.

    Raises ArtifactError when the file holds another backbone or another number of intents.
    """
    try:
        held = load_file(weights)
        model = _bare_model(config, labels=labels, weights=held)
        model.load_state_dict(held, strict=True)
    except (OSError, RuntimeError) as error:
        raise ArtifactError(
            f"{weights} is not a {config.backbone} of {labels} intents: {error}"
        ) from error
    return model.eval()


def _bare_model(
    config: TrainingConfig, *, labels: int, weights: Mapping[str, torch.Tensor]
) -> IntentModel:
    """Return a model into which `weights` should fit; its own do not count."""
    if config.backbone == "distilbert":
        return DistilBertIntents(labels, dropout=config.dropout)
    from training.mobilebert import shaped_like

    return shaped_like(weights, dropout=config.dropout)
