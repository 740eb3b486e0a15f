"""A real version's folder, made in milliseconds: ONNX, tokenizer, manifest; one weight a word.

Each word speaks for one intent; a query is given the intent that most of its words speak for.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.tiny_graph import word_sums

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
    onnx.save(word_sums(table, output="logits"), str(folder / "model.onnx"))
    manifest = {"version": "v9", "labels": list(labels), "temperature": 1.0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
