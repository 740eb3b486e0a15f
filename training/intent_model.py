"""The network that is trained: DistilBERT, its tokens' mean, one linear layer."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from training.encoder_start import start_encoder

if TYPE_CHECKING:
    from transformers import DistilBertModel


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


class IntentModel(nn.Module):
    """Token ids to one logit an intent."""

    def __init__(self, labels: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.pooled = PooledEncoder(start_encoder())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.pooled.encoder.config.dim, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits: shape (texts, labels)."""
        logits: torch.Tensor = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        return logits

    def lower(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Return what the frozen part makes of the ids: (texts, tokens, dims). No gradient."""
        with torch.no_grad():
            return self.pooled.lower(input_ids, attention_mask, layers=layers)

    def upper(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        """Return the logits of what `lower` made: shape (texts, labels)."""
        pooled = self.pooled.pool(hidden, attention_mask, layers=layers)
        logits: torch.Tensor = self.head(self.dropout(pooled))
        return logits

    def freeze(self, *, layers: int) -> None:
        """Exempt the embeddings and the lowest `layers` layers from training."""
        self.pooled.encoder.embeddings.requires_grad_(False)
        for layer in self.pooled.encoder.transformer.layer[:layers]:
            layer.requires_grad_(False)
