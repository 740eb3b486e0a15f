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
        hidden = self.encoder.embeddings(input_ids)
        bias = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * -1e9
        for layer in self.encoder.transformer.layer:
            hidden = layer(hidden, attention_mask=bias)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled: torch.Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return pooled


class IntentModel(nn.Module):
    """Token ids to one logit an intent."""

    def __init__(self, labels: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.pooled = PooledEncoder(start_encoder())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.pooled.encoder.config.dim, labels)

    def freeze(self, *, layers: int) -> None:
        """Exempt the embeddings and the lowest `layers` layers from training; 0 exempts nothing."""
        if layers:
            self.pooled.encoder.embeddings.requires_grad_(False)
            for layer in self.pooled.encoder.transformer.layer[:layers]:
                layer.requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits: shape (texts, labels)."""
        logits: torch.Tensor = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        return logits
