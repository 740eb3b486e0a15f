"""A real version's folder, made in milliseconds: ONNX, tokenizer, manifest; one weight a word.

Each word speaks for one intent; a query is given the intent that most of its words speak for.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

WEIGHT = 4.0


def make_tiny_classifier(
    folder: Path,
    *,
    words: Mapping[str, str],
    labels: Sequence[str],
    otherwise: str,
    weight: float = WEIGHT,
) -> Path:
    """Make a version in which `words` name their intents; unknown words alone mean `otherwise`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.zeros((len(vocabulary), len(labels)), dtype=np.float32)
    table[0, labels.index(otherwise)] = weight / 100
    for word, intent in words.items():
        table[vocabulary[word], labels.index(intent)] = weight
    onnx.save(_graph(table), str(folder / "model.onnx"))
    manifest = {"version": "v9", "labels": list(labels), "temperature": 1.0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _graph(table: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
        helper.make_node("Mul", ["words", "wide_mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["logits"], keepdims=0),
    ]
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "middle"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
