"""What a model takes over from the champion: rows of its head, by the intents' names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contracts.errors import ArtifactError
from training.config import TrainingConfig
from training.intent_model import IntentModel, new_model, read_model
from training.warm_start import WarmStart, load_start

CHAMPION = ("dining", "library", "parking", "gym")
CONFIG = TrainingConfig()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A champion whose head's row for intent n is all n."""
    model = new_model(CONFIG, labels=len(CHAMPION))
    with torch.no_grad():
        for row in range(len(CHAMPION)):
            model.head.weight[row] = float(row)
            model.head.bias[row] = float(row)
        model.get_parameter("pooled.encoder.transformer.layer.5.ffn.lin1.bias").fill_(0.5)
    file = tmp_path_factory.mktemp("champion") / "model.safetensors"
    save_file(model.state_dict(), file)
    return file


def started(start: WarmStart, *labels: str) -> IntentModel:
    model = new_model(CONFIG, labels=len(labels))
    load_start(model, start, labels=labels)
    return model


def test_intents_keep_their_rows_in_any_order(weights: Path) -> None:
    model = started(WarmStart(weights, CHAMPION), "library", "gym", "dining", "parking")
    assert model.head.bias.tolist() == [1.0, 3.0, 0.0, 2.0]
    assert model.head.weight[:, 0].tolist() == [1.0, 3.0, 0.0, 2.0]
    trained = model.get_parameter("pooled.encoder.transformer.layer.5.ffn.lin1.bias")
    assert trained.eq(0.5).all()


def test_a_new_intent_starts_fresh_and_a_retired_one_goes(weights: Path) -> None:
    start = WarmStart(weights, CHAMPION, {"gym": None})
    labels = ("dining", "library", "parking", "printing")
    torch.manual_seed(3)
    fresh = new_model(CONFIG, labels=4).head.bias[3].item()
    torch.manual_seed(3)
    model = started(start, *labels)
    assert model.head.bias.tolist() == [0.0, 1.0, 2.0, fresh]
    assert start.describe(labels) == (
        "3 of 4 intents go on from the champion's; new: printing; gone: gym"
    )


def test_an_intent_that_took_the_place_of_others_goes_on_from_their_mean(weights: Path) -> None:
    start = WarmStart(weights, CHAMPION, {"parking": "transport", "gym": "transport"})
    assert started(start, "dining", "transport").head.bias.tolist() == [0.0, 2.5]
    assert start.describe(("dining", "transport")).endswith("champion's; gone: library")


def test_what_was_renamed_twice_is_found_and_a_circle_ends(weights: Path) -> None:
    twice = WarmStart(weights, CHAMPION, {"gym": "sport", "sport": "recreation"})
    assert twice.rows_of(("recreation",)) == [[3]]
    circle = WarmStart(weights, CHAMPION, {"gym": "sport", "sport": "gym"})
    assert circle.rows_of(("dining", "recreation")) == [[0], []]


def test_an_intent_that_is_there_keeps_its_own_row_whatever_joins_it(weights: Path) -> None:
    start = WarmStart(weights, CHAMPION, {"gym": "dining"})
    assert start.rows_of(("dining",)) == [[0]]


def test_weights_that_do_not_fit_are_refused_in_a_sentence(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="of 2 intents: its head has 4 rows"):
        started(WarmStart(weights, ("dining", "library")), "dining")
    other = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(4, 2), "head.bias": torch.zeros(4)}, other)
    with pytest.raises(ArtifactError, match="another backbone's"):
        started(WarmStart(other, CHAMPION), "dining")
    with pytest.raises(ArtifactError, match="Nothing was trained"):
        started(WarmStart(tmp_path / "none", CHAMPION), "dining")
    with pytest.raises(ArtifactError, match="not a distilbert of 3 intents"):
        read_model(weights, labels=3, config=CONFIG)


def test_what_was_saved_is_read_as_it_was(weights: Path) -> None:
    model = read_model(weights, labels=4, config=CONFIG)
    assert not model.training
    assert model.head.bias.tolist() == [0.0, 1.0, 2.0, 3.0]
