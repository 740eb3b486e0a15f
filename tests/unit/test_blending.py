"""Between the champion and what was trained from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training_samples import INTENTS, QUICK, few_checks
from training.blending import SHARES, blend
from training.examples import Example
from training.intent_model import IntentModel, new_model
from training.warm_start import WarmStart

CONFIG = replace(QUICK, threads=2)


def head_that_says(row: int) -> IntentModel:
    """The pretrained network with a head that always gives one intent."""
    torch.manual_seed(0)
    model = new_model(CONFIG, labels=len(INTENTS))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.bias[row] = 8.0
    return model


@pytest.fixture
def start(tmp_path: Path) -> WarmStart:
    save_file(head_that_says(0).state_dict(), tmp_path / "start.safetensors")
    return WarmStart(tmp_path / "start.safetensors", INTENTS)


def blend_with(start: WarmStart, trained: IntentModel, tmp_path: Path, checks: list[Example]):  # type: ignore[no-untyped-def]
    weights = tmp_path / "model.safetensors"
    save_file(trained.state_dict(), weights)
    said: list[str] = []
    found = blend(
        weights, start=start, validation=checks, labels=INTENTS, config=CONFIG, report=said.append
    )
    assert len(said) == len(SHARES)
    return found, load_file(weights)["head.bias"]


def test_what_was_trained_is_taken_whole_where_that_is_best(
    start: WarmStart, tmp_path: Path
) -> None:
    only_second = [one for one in few_checks() if one.intent == INTENTS[1]]
    found, bias = blend_with(start, head_that_says(1), tmp_path, only_second)
    assert found.share == 1.0
    assert bias.tolist() == [0.0, 8.0, 0.0]


def test_half_way_is_taken_where_both_are_needed(start: WarmStart, tmp_path: Path) -> None:
    both = [one for one in few_checks() if one.intent in INTENTS[:2]]
    found, bias = blend_with(start, head_that_says(1), tmp_path, both)
    assert found.share in (0.4, 0.6)
    assert found.losses[found.share] == min(found.losses.values())
    assert bias.tolist() == pytest.approx([8 * (1 - found.share), 8 * found.share, 0.0], abs=1e-5)
