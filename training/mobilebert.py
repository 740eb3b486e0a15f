"""The smaller backbone: MobileBERT, pretrained where it can be had, else cut from the default one.

The small one has MobileBERT's narrow word table with trigram input, and of the default backbone's
six layers every other one: half of the bytes. By itself it has forgotten much; `training.distil`
teaches it what the champion knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from contracts.errors import ArtifactError
from training.encoder_start import DIMS
from training.intent_model import DistilBertIntents, IntentModel

if TYPE_CHECKING:
    from transformers import MobileBertForSequenceClassification

PAD: Final = 0
_LAYER: Final = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
"""The default backbone's parts, and what MobileBERT calls them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the small one keeps: dimensions of the word table, and which layers of the default."""

    word_dims: int = 192
    kept: tuple[int, ...] = (0, 2, 5)


class MobileBertIntents(IntentModel):
    """MobileBertForSequenceClassification, over the tokens' mean as the default backbone is.

    The word after a text's last one is a padding token in a batch and nothing at all without one:
    its row of the word table is zero, so that an answer does not depend on its batch mates.
    """

    def __init__(
        self, network: "MobileBertForSequenceClassification", *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.body = network.mobilebert
        self.dropout = nn.Dropout(dropout)
        self.head: nn.Linear = network.classifier
        with torch.no_grad():
            self.body.embeddings.word_embeddings.weight[PAD] = 0.0

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.logits(self.states(input_ids, attention_mask)[-1], attention_mask)

    def states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> list[torch.Tensor]:
        """Return what the embeddings and then each layer make: (texts, tokens, dims) each."""
        states: list[torch.Tensor] = [self.body.embeddings(input_ids)]
        for layer in self.body.encoder.layer:
            states.append(layer(states[-1], _attention_bias(attention_mask, states[-1])))
        return states

    def logits(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the logits of what the last layer made: shape (texts, labels)."""
        found: torch.Tensor = self.head(self.dropout(mean_of(hidden, attention_mask)))
        return found

    def lower(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        with torch.no_grad():
            hidden: torch.Tensor = self.body.embeddings(input_ids)
            for layer in self.body.encoder.layer[: self._frozen(layers)]:
                hidden = layer(hidden, _attention_bias(attention_mask, hidden))
        return hidden

    def upper(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *, layers: int
    ) -> torch.Tensor:
        for layer in self.body.encoder.layer[self._frozen(layers) :]:
            hidden = layer(hidden, _attention_bias(attention_mask, hidden))
        return self.logits(hidden, attention_mask)

    def freeze(self, *, layers: int) -> None:
        self.body.embeddings.requires_grad_(False)
        for layer in self.body.encoder.layer[: self._frozen(layers)]:
            layer.requires_grad_(False)

    def _frozen(self, layers: int) -> int:
        """At most half of them: the default's number of frozen layers may be all there are."""
        return min(layers, len(self.body.encoder.layer) // 2)


def mean_of(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens that are not padding: (texts, dims)."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def pretrained(name: str, *, labels: int, dropout: float = 0.1) -> MobileBertIntents:
    """Return a pretrained MobileBERT of a folder or a model hub, with a random head.

    Raises ArtifactError when it cannot be had: offline, a model hub gives nothing.
    """
    from transformers import MobileBertForSequenceClassification

    try:
        network = MobileBertForSequenceClassification.from_pretrained(
            name,
            num_labels=labels,
            attn_implementation="eager",
            ignore_mismatched_sizes=True,  # of a head that it may have: it is for other labels
        )
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"No pretrained MobileBERT from {name}: {error}. Set HUB_MOBILEBERT to a folder that"
            " holds one, or leave it unset: then the small one is cut from the default backbone."
        ) from error
    return MobileBertIntents(network, dropout=dropout)


def cut_from(
    whole: DistilBertIntents, *, shape: Shape | None = None, dropout: float = 0.1
) -> MobileBertIntents:
    """Return the small MobileBERT with what of `whole` fits into it: the start of a distillation.

    The word table is the projection on its own main directions (of the rows' differences, so that
    what is common to all words stays), the middle of the trigram turns it back; layers are copied.
    """
    shape = shape or Shape()
    small = MobileBertIntents(
        _network(
            _small_config(len(shape.kept), word_dims=shape.word_dims, labels=_labels_of(whole))
        ),
        dropout=dropout,
    )
    source, target = whole.pooled.encoder, small.body
    with torch.no_grad():
        words = source.embeddings.word_embeddings.weight
        mean = words.mean(dim=0)
        _, directions = torch.linalg.eigh(torch.cov((words - mean).T))
        main = directions[:, -shape.word_dims :]
        table = target.embeddings.word_embeddings.weight
        table.copy_((words - mean) @ main)
        table[PAD] = 0.0
        turn = target.embeddings.embedding_transformation
        turn.weight.zero_()
        turn.weight[:, shape.word_dims : 2 * shape.word_dims] = main
        turn.bias.copy_(mean)
        target.embeddings.position_embeddings.weight.copy_(
            source.embeddings.position_embeddings.weight
        )
        target.embeddings.token_type_embeddings.weight.zero_()
    target.embeddings.LayerNorm.load_state_dict(source.embeddings.LayerNorm.state_dict())
    for layer, kept in zip(target.encoder.layer, shape.kept, strict=True):
        for theirs, ours in _LAYER.items():
            part = source.transformer.layer[kept].get_submodule(theirs)
            layer.get_submodule(ours).load_state_dict(part.state_dict())
    small.head.load_state_dict(whole.head.state_dict())
    return small


def shaped_like(weights: Mapping[str, torch.Tensor], *, dropout: float = 0.1) -> MobileBertIntents:
    """Return a MobileBERT into which `weights`, a model's state, fit. Its own are random.

    Raises ArtifactError when they are of another backbone.
    """
    from transformers import MobileBertConfig

    prefix = "body.encoder.layer."
    layers = {int(name.split(".")[3]) for name in weights if name.startswith(prefix)}
    if not layers:
        raise ArtifactError("These are no weights of a MobileBERT.")
    labels = len(weights["head.bias"])
    if any(".bottleneck." in name for name in weights):  # the pretrained one's shape
        config = MobileBertConfig(num_hidden_layers=len(layers), **_common(labels))
    else:
        word_dims = weights["body.embeddings.word_embeddings.weight"].shape[1]
        config = _small_config(len(layers), word_dims=word_dims, labels=labels)
    return MobileBertIntents(_network(config), dropout=dropout)


def _small_config(layers: int, *, word_dims: int, labels: int) -> Any:
    """Return MobileBERT's shape without bottlenecks: each layer is one of the default's."""
    from transformers import MobileBertConfig

    return MobileBertConfig(
        vocab_size=30_522,
        hidden_size=DIMS,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=1_536,
        hidden_act="gelu",
        embedding_size=word_dims,
        trigram_input=True,
        use_bottleneck=False,
        num_feedforward_networks=1,
        normalization_type="layer_norm",
        attention_probs_dropout_prob=0.0,
        classifier_activation=False,
        **_common(labels),
    )


def _common(labels: int) -> dict[str, Any]:
    # The plain implementation exports to the smallest graph, and is as fast on short texts.
    return {"num_labels": labels, "attn_implementation": "eager"}


def _network(config: Any) -> "MobileBertForSequenceClassification":
    from transformers import MobileBertForSequenceClassification

    return MobileBertForSequenceClassification(config)


def _labels_of(model: IntentModel) -> int:
    return model.head.out_features


def _attention_bias(attention_mask: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * -1e9
