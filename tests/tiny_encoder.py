"""A real encoder folder, made in milliseconds: ONNX, tokenizer and space, with random word vectors.

A text's vector is the mean of its words' vectors, so that texts that share words are near.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from contracts.text import normalise


def make_tiny_encoder(
    folder: Path,
    *,
    texts: Iterable[str],
    fingerprint: str = "tiny",
    dims: int = 32,
    seed: int = 0,
) -> Path:
    """Make an encoder that knows the words of `texts`, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    split = pre_tokenizers.Whitespace()
    words = {w for text in texts for w, _ in split.pre_tokenize_str(normalise(text))}
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = split
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(seed).normal(size=(len(vocabulary), dims)).astype(np.float32)
    onnx.save(_graph(table), str(folder / "model.onnx"))
    space = {
        "fingerprint": fingerprint,
        "model": "tiny",
        "revision": str(seed),
        "quantisation": "fp32",
        "dims": dims,
        "normalised": True,
    }
    (folder / "space.json").write_text(json.dumps(space))
    return folder


def _graph(table: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
        helper.make_node("Mul", ["words", "wide_mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["sentence_embedding"], keepdims=0),
    ]
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info(
                "sentence_embedding", TensorProto.FLOAT, ["batch", table.shape[1]]
            )
        ],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "middle"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model
