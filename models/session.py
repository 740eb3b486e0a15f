"""How an ONNX graph is opened and fed here: on CPU, with the threads that we choose."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

Feeds = dict[str, NDArray[np.int64]]
"""Model inputs `input_ids` and `attention_mask`, each of shape (texts, tokens), int64."""

RUN_COST_TOKENS = 4
"""What one run costs apart from its tokens, in tokens: 2 (int8) to 6 (fp32) were measured."""

MAX_TOKENS = 256
"""Longer texts are cut here, as the encoder was trained; 2,000 characters rarely reach it."""


def open_session(onnx_file: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open an ONNX file for inference on CPU.

    Ray's fractional CPUs do not reach ONNX Runtime, so `threads` is set here; spinning is off,
    since an idle replica must leave its core to the others.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        str(onnx_file), sess_options=options, providers=["CPUExecutionProvider"]
    )


def open_tokenizer(tokenizer_file: Path) -> Tokenizer:
    """Open a tokenizer that cuts at MAX_TOKENS and does not pad: padding belongs to the batch."""
    return _tokenizer_of(tokenizer_file.read_text(encoding="utf-8"))


# Versions come with the same one, and reading it keeps every other thread waiting for 30 ms.
@lru_cache(maxsize=1)
def _tokenizer_of(document: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(document)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that run together: `rows` says which they are, `feeds` is their padded input."""

    rows: list[int]
    feeds: Feeds


def prepare(tokenizer: Tokenizer, texts: list[str], *, max_batch: int) -> list[Batch]:
    """Tokenize texts into batches of alike length, each as wide as its longest text."""
    tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    return [
        Batch(rows, _feeds([tokens[row] for row in rows]))
        for rows in alike_in_length([len(ids) for ids in tokens], max_batch=max_batch)
    ]


def alike_in_length(lengths: list[int], *, max_batch: int) -> list[list[int]]:
    """Split row numbers into batches at the least cost, given each row's length in tokens.

    A batch costs its padded tokens and RUN_COST_TOKENS for being run at all: short texts beside a
    long one would otherwise pay for its length.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    least = [0.0] + [math.inf] * len(order)
    start_of = [0] * (len(order) + 1)
    for end in range(1, len(order) + 1):
        width = lengths[order[end - 1]]
        for start in range(max(0, end - max_batch), end):
            cost = least[start] + RUN_COST_TOKENS + (end - start) * width
            if cost < least[end]:
                least[end], start_of[end] = cost, start
    batches: list[list[int]] = []
    end = len(order)
    while end:
        batches.append(order[start_of[end] : end])
        end = start_of[end]
    return batches


def _feeds(tokens: list[list[int]]) -> Feeds:
    width = max(map(len, tokens))
    input_ids = np.zeros((len(tokens), width), dtype=np.int64)
    attention_mask = np.zeros((len(tokens), width), dtype=np.int64)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
