"""Whether the weights in an ONNX file are numbers.

A forward pass does not tell: int8 kernels turn a NaN among their inputs or scales into some
integer, and scores come out finite and wrong. Of this project's own graph 50 of the 105 float
weights could hold one unnoticed. The `onnx` package stays off the serving path, so the little of
protobuf's wire format that is needed is here: a message is a row of fields, and a field a key and
its content.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ArtifactError

_GRAPH: Final = 7  # of ModelProto
_INITIALIZER: Final = 5  # of GraphProto
_TYPE, _FLOATS, _NAME, _RAW = 2, 4, 8, 9  # of TensorProto
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FLOAT_TYPES: Final = {1: "<f4", 10: "<f2", 11: "<f8"}


def require_finite_weights(onnx_file: Path) -> None:
    """Raise ArtifactError, naming a weight that holds a NaN or an infinity, if any does.

    Looks at the float weights that lie in the file itself; integers are always numbers.
    """
    content = memoryview(onnx_file.read_bytes())
    try:
        for name, values in _float_weights(content):
            if not np.isfinite(values).all():
                raise ArtifactError(f"The weight {name} holds what is not a number.")
    except (IndexError, ValueError) as error:
        raise ArtifactError(f"{onnx_file.name} is no whole ONNX file.") from error


def _float_weights(model: memoryview) -> Iterator[tuple[str, NDArray[Any]]]:
    for graph in _messages(model, number=_GRAPH):
        for tensor in _messages(graph, number=_INITIALIZER):
            fields = dict(_fields(tensor))
            kind = _FLOAT_TYPES.get(int(fields.get(_TYPE, 0)))
            if kind is not None:
                name = bytes(fields.get(_NAME, b"")).decode()
                yield name, np.frombuffer(fields.get(_RAW, b""), dtype=kind)
                yield name, np.frombuffer(fields.get(_FLOATS, b""), dtype="<f4")


def _messages(message: memoryview, *, number: int) -> Iterator[memoryview]:
    return (content for found, content in _fields(message) if found == number)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield each field's number and content: an int, or the bytes of anything longer."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"field {number} is of no kind that is in use")
        if at + size > len(message):
            raise ValueError(f"field {number} is cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
