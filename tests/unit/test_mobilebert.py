"""The smaller backbone: cut from the default one, and known by the same interface."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import MobileBertConfig, MobileBertForSequenceClassification

from contracts.errors import ArtifactError
from models.session import open_session
from training.config import TrainingConfig
from training.export import CLASSIFIER_OUTPUT, export_onnx, quantise
from training.intent_model import DistilBertIntents, new_model, read_model
from training.mobilebert import MobileBertIntents, Shape, cut_from

MOBILE = TrainingConfig(backbone="mobilebert")
IDS = torch.tensor([[101, 2129, 2079, 1045, 102], [101, 3075, 2847, 102, 0]])
MASK = (IDS > 0).long()


@pytest.fixture(scope="module")
def whole() -> DistilBertIntents:
    torch.manual_seed(3)
    return DistilBertIntents(4).eval()


@pytest.fixture(scope="module")
def small(whole: DistilBertIntents) -> MobileBertIntents:
    """Three layers. Not to be changed."""
    model = cut_from(whole, shape=Shape(word_dims=16, kept=(0, 2, 5)))
    model.eval()
    return model


@pytest.fixture(scope="module")
def tiny(whole: DistilBertIntents) -> MobileBertIntents:
    """One layer. Not to be changed."""
    model = cut_from(whole, shape=Shape(word_dims=16, kept=(5,)))
    model.eval()
    return model


@torch.no_grad()
def test_nothing_cut_off_answers_as_the_default_does(whole: DistilBertIntents) -> None:
    same = cut_from(whole, shape=Shape(word_dims=384, kept=tuple(range(6)))).eval()
    torch.testing.assert_close(same(IDS, MASK), whole(IDS, MASK), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_lower_and_upper_make_the_whole(small: MobileBertIntents) -> None:
    for layers in range(4):
        upper = small.upper(small.lower(IDS, MASK, layers=layers), MASK, layers=layers)
        torch.testing.assert_close(upper, small(IDS, MASK))


def test_however_many_layers_are_to_be_frozen_half_of_them_learn(small: MobileBertIntents) -> None:
    own = copy.deepcopy(small)
    own.freeze(layers=6)
    learning = {name.split(".")[3] for name in own.trained() if name.startswith("body.encoder")}
    assert learning == {"1", "2"}
    assert not any(name.startswith("body.embeddings") for name in own.trained())


@torch.no_grad()
def test_an_answer_does_not_depend_on_its_batch_mates(tiny: MobileBertIntents) -> None:
    alone = tiny(IDS[1:, :4], MASK[1:, :4])
    torch.testing.assert_close(tiny(IDS, MASK)[1:], alone)


def test_it_is_exported_and_quantised_as_the_default_is(
    tiny: MobileBertIntents, tmp_path: Path
) -> None:
    export_onnx(tiny, tmp_path / "full.onnx", output=CLASSIFIER_OUTPUT)
    quantise(tmp_path / "full.onnx", tmp_path / "int8.onnx")
    feeds = {"input_ids": IDS.numpy(), "attention_mask": MASK.numpy()}
    with torch.no_grad():
        wanted = tiny(IDS, MASK).numpy()
    for name, tolerance in (("full", 1e-4), ("int8", 0.2)):
        session = open_session(tmp_path / f"{name}.onnx", threads=1)
        (logits,) = session.run([CLASSIFIER_OUTPUT], feeds)
        np.testing.assert_allclose(logits, wanted, atol=tolerance)
        (longer,) = session.run(
            [CLASSIFIER_OUTPUT], {key: np.ones((3, 70), dtype=np.int64) for key in feeds}
        )
        assert longer.shape == (3, 4)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * (tmp_path / "full.onnx").stat().st_size


@torch.no_grad()
def test_its_weights_say_what_shape_it_has(tiny: MobileBertIntents, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(tiny.state_dict(), file)
    again = read_model(file, labels=4, config=MOBILE)
    torch.testing.assert_close(again(IDS, MASK), tiny(IDS, MASK))
    with pytest.raises(ArtifactError, match="not a distilbert"):
        read_model(file, labels=4, config=TrainingConfig())


@torch.no_grad()
def test_a_pretrained_one_is_taken_from_its_folder(tmp_path: Path) -> None:
    config = MobileBertConfig(num_hidden_layers=1)
    MobileBertForSequenceClassification(config).save_pretrained(tmp_path / "given")
    given = TrainingConfig(backbone="mobilebert", pretrained=str(tmp_path / "given"))
    model = new_model(given, labels=5).eval()
    assert model(IDS, MASK).shape == (2, 5)
    file = tmp_path / "model.safetensors"
    save_file(model.state_dict(), file)
    torch.testing.assert_close(
        read_model(file, labels=5, config=MOBILE)(IDS, MASK), model(IDS, MASK)
    )


def test_a_pretrained_one_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    given = TrainingConfig(backbone="mobilebert", pretrained=str(tmp_path / "nothing"))
    with pytest.raises(ArtifactError, match="HUB_MOBILEBERT"):
        new_model(given, labels=5)
