"""Weights that are not numbers are found wherever they hide, without the onnx package."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contracts.errors import ArtifactError
from models.finite import require_finite_weights


def onnx_file(folder: Path, *weights: onnx.TensorProto) -> Path:
    """Write a graph with these weights; what it computes does not matter."""
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", [weights[0].name], ["out"])
    graph = helper.make_graph([node], "graph", [], [out], initializer=list(weights))
    file = folder / "model.onnx"
    onnx.save(helper.make_model(graph), str(file))
    return file


def numbers(*values: float, dtype: str = "float32", name: str = "w") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(bad: float, dtype: str, tmp_path: Path) -> None:
    file = onnx_file(tmp_path, numbers(1, 2), numbers(1, bad, 2, dtype=dtype, name="encoder.bias"))
    with pytest.raises(ArtifactError, match=r"encoder\.bias"):
        require_finite_weights(file)


def test_one_that_is_kept_as_a_list_of_floats_is_found_too(tmp_path: Path) -> None:
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [2], [1.0, float("nan")])
    assert not listed.raw_data
    with pytest.raises(ArtifactError, match="listed"):
        require_finite_weights(onnx_file(tmp_path, listed))


def test_numbers_are_fine_and_integers_always_are(tmp_path: Path) -> None:
    whole = numpy_helper.from_array(np.array([2143289344], dtype=np.int32), "a NaN's bits")
    require_finite_weights(onnx_file(tmp_path, numbers(0, -1e30), whole))


@pytest.mark.parametrize("kept_bytes", [5, 40, 70])
def test_a_file_that_is_cut_off_is_refused(kept_bytes: int, tmp_path: Path) -> None:
    file = onnx_file(tmp_path, numbers(*range(50)))
    file.write_bytes(file.read_bytes()[:kept_bytes])
    with pytest.raises(ArtifactError, match="no whole ONNX file"):
        require_finite_weights(file)


def test_the_first_version_has_finite_weights(champion_folder: Path) -> None:
    require_finite_weights(champion_folder / "model.onnx")
