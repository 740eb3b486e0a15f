"""A real encoder folder, made in milliseconds: ONNX, tokenizer and space, with random word vectors.

A text's vector is the mean of its words' vectors, so that texts that share words are near.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer, models, pre_tokenizers

from contracts.text import normalise
from tests.tiny_graph import word_sums


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
    onnx.save(word_sums(table, output="sentence_embedding"), str(folder / "model.onnx"))
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
