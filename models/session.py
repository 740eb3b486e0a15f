"""How an ONNX graph is opened here: on CPU, with the threads that we choose."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

Feeds = dict[str, NDArray[np.int64]]
"""Model inputs `input_ids` and `attention_mask`, each of shape (texts, tokens), int64."""

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
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def prepare(tokenizer: Tokenizer, texts: list[str]) -> Feeds:
    """Tokenize texts into one padded batch, as wide as its longest text."""
    encodings = tokenizer.encode_batch_fast(texts)
    width = max(len(encoding.ids) for encoding in encodings)
    input_ids = np.zeros((len(texts), width), dtype=np.int64)
    attention_mask = np.zeros((len(texts), width), dtype=np.int64)
    for row, encoding in enumerate(encodings):
        length = len(encoding.ids)
        input_ids[row, :length] = encoding.ids
        attention_mask[row, :length] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def batches_by_length(texts: list[str], *, max_batch: int) -> list[list[int]]:
    """Split row numbers into batches of alike length, so that little is computed on padding."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    return [order[start : start + max_batch] for start in range(0, len(order), max_batch)]
