"""From torch to what is served: an ONNX graph with free batch and length, in fp32 or int8."""

import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from models.session import MAX_TOKENS
from training.encoder_start import start_encoder
from training.intent_model import PooledEncoder

INPUTS: Final = ["input_ids", "attention_mask"]
CLASSIFIER_OUTPUT: Final = "logits"
ENCODER_OUTPUT: Final = "sentence_embedding"


def export_onnx(model: nn.Module, into: Path, *, output: str) -> None:
    """Write `model` as one fp32 ONNX file with free batch and sequence axes.

    `model` takes `input_ids` and `attention_mask`, both (texts, tokens) int64; its only result is
    named `output`.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    sequence = torch.export.Dim("sequence", min=2, max=MAX_TOKENS)
    axes = {0: batch, 1: sequence}
    # Neither axis may be 1 in the example, or the exporter takes it for a constant; and the same
    # tensor given twice becomes one input in the graph.
    ids, mask = (torch.ones((2, 8), dtype=torch.int64) for _ in INPUTS)
    with _without_exporter_chatter():
        torch.onnx.export(
            model.eval(),
            (ids, mask),
            str(into),
            input_names=INPUTS,
            output_names=[output],
            dynamic_shapes=dict.fromkeys(INPUTS, axes),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def quantise(source: Path, into: Path) -> None:
    """Write the int8 version of an fp32 ONNX file: weights per channel, activations as they come.

    The word table (Gather) goes to int8 with the matrices: it is half of the file. Weights keep
    to seven bits (`reduce_range`), because processors without VNNI add two products in 16 bits
    and would otherwise clip them: the same file gives the same answers on an older machine.
    """
    graph = onnx.load(str(source))
    # torch's exporter leaves shapes here on which the quantiser fails.
    del graph.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.onnx"
        onnx.save(graph, str(bare))
        with _without_exporter_chatter():
            quantize_dynamic(
                bare,
                into,
                op_types_to_quantize=["MatMul", "Gather"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )


def export_classifier(model: nn.Module, folder: Path, *, tokenizer_file: Path) -> None:
    """Write `model.onnx` (int8, output `logits`) and `tokenizer.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"
        export_onnx(model, full, output=CLASSIFIER_OUTPUT)
        quantise(full, folder / "model.onnx")
    shutil.copyfile(tokenizer_file, folder / "tokenizer.json")


@contextmanager
def _without_exporter_chatter() -> Iterator[None]:
    """Keep quiet what the exporter says of packages that are not needed and axes that are equal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "root")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def main() -> None:
    """`python -m training.export FILE`: the stage that export_encoder runs, fp32 with pooling."""
    export_onnx(PooledEncoder(start_encoder()), Path(sys.argv[1]), output=ENCODER_OUTPUT)


if __name__ == "__main__":
    main()
