"""The training loop on a few queries: the same twice, whether or not it was interrupted."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import DataError
from tests.training_samples import INTENTS, QUICK, few_checks, few_queries
from training.batches import Row, batches, intent_weights
from training.checkpoint import Progress, load_progress, save_progress
from training.config import TrainingConfig
from training.course import Course, TrainingDiverged
from training.examples import Example
from training.intent_model import new_model
from training.peers import Peers
from training.train import Keep, Trained, train


def trained(
    config: TrainingConfig = QUICK,
    *,
    examples: Sequence[Example] | None = None,
    earlier: Progress | None = None,
    keep: Keep | None = None,
) -> tuple[Trained, list[str]]:
    """Train on the few queries, and return what came of it and what was said."""
    said: list[str] = []
    found = train(
        few_queries() if examples is None else examples,
        validation=few_checks(),
        labels=INTENTS,
        config=config,
        earlier=earlier,
        keep=keep,
        report=said.append,
    )
    return found, said


def course_of(trained: Trained) -> list[dict[str, float]]:
    return [asdict(epoch) | {"seconds": 0} for epoch in trained.epochs]


def assert_same(one: Trained, other: Trained) -> None:
    assert course_of(one) == course_of(other)
    assert one.best_epoch == other.best_epoch
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert [name for name, value in ours.items() if not value.equal(theirs[name])] == []


class Killed(Exception):
    """Stands for the end of a worker's process."""


@pytest.fixture(scope="module")
def whole() -> Trained:
    """The quick training, not interrupted."""
    found, said = trained()
    assert [line.partition(",")[0] for line in said] == [
        f"train: epoch {number} of 3" for number in (1, 2, 3)
    ]
    return found


def test_it_learns_and_keeps_the_best_epoch(whole: Trained) -> None:
    losses = [epoch.validation_loss for epoch in whole.epochs]
    assert losses[whole.best_epoch - 1] == min(losses) < losses[0]
    assert whole.epochs[-1].validation_accuracy > 0.8
    assert not whole.model.training


@pytest.mark.parametrize("killed_after", [1, 2])
def test_what_was_interrupted_and_gone_on_with_is_the_same_to_the_bit(
    whole: Trained, tmp_path: Path, killed_after: int
) -> None:
    def keep(progress: Progress) -> None:
        save_progress(progress, tmp_path)
        if len(progress.epochs) == killed_after:
            raise Killed

    with pytest.raises(Killed):
        trained(keep=keep)
    torch.manual_seed(0)  # another process knows nothing of this one's
    found, said = trained(earlier=load_progress(tmp_path))
    assert_same(found, whole)
    assert found.resumed == 1
    assert said[0] == f"train: going on after epoch {killed_after} of 3"


def test_what_was_over_is_over_when_it_is_gone_on_with(whole: Trained) -> None:
    kept: list[Progress] = []
    trained(keep=kept.append)
    assert_same(trained(earlier=kept[-1])[0], whole)


def test_it_stops_when_nothing_gets_better() -> None:
    still = replace(QUICK, learning_rate=0.0, head_learning_rate=0.0, patience_epochs=1)
    found, said = trained(still)
    assert len(found.epochs) == 2
    assert said[-1] == "train: no better since epoch 1, stopping"


def test_a_rare_intent_weighs_more_by_the_root_of_its_rarity() -> None:
    rows = [Row(torch.zeros(1, 1), target) for target in [0] * 16 + [1] * 4]
    weights = intent_weights(rows, labels=2, balance=0.5)
    assert weights is not None
    assert weights[1] / weights[0] == pytest.approx(2.0)
    assert sum(weights[row.target] for row in rows) / 20 == pytest.approx(1.0)
    assert intent_weights(rows, labels=2, balance=0.0) is None
    absent = intent_weights(rows, labels=3, balance=1.0)
    assert absent is not None
    assert absent.isfinite().all()


def test_the_workers_gradients_add_up_to_those_of_one_alone() -> None:
    config = replace(QUICK, class_balance=0.5, bf16=False)
    uneven = [*few_queries(intents=INTENTS[:1]), *few_queries(intents=INTENTS[1:], each=3)]
    found: dict[Peers, list[torch.Tensor]] = {}
    for peers in (Peers(), Peers(0, 2), Peers(1, 2)):
        torch.manual_seed(1)
        model = new_model(config, labels=3)
        course = Course(
            model,
            examples=uneven,
            validation=few_checks(),
            labels=INTENTS,
            config=config,
            device=torch.device("cpu"),
            peers=peers,
            report=print,
        )
        model.eval()  # without dropout, which each worker draws for itself
        course.gradients(course.rows)
        gradients = [parameter.grad for parameter in model.trained().values()]
        found[peers] = [gradient for gradient in gradients if gradient is not None]
    parts = zip(found[Peers(0, 2)], found[Peers(1, 2)], strict=True)
    for alone, (one, other) in zip(found[Peers()], parts, strict=True):
        torch.testing.assert_close(one + other, alone, rtol=1e-4, atol=1e-6)


def test_every_row_is_in_one_batch_and_every_item_one_workers() -> None:
    rows = [Row(torch.zeros(length % 7 + 1, 1), length) for length in range(50)]
    found = list(batches(rows, size=8, shuffler=np.random.default_rng(1)))
    assert sorted(row.target for batch in found for row in batch) == list(range(50))
    shares = [Peers(rank, 3).own(found[0]) for rank in range(3)]
    assert sorted(row.target for share in shares for row in share) == sorted(
        row.target for row in found[0]
    )


def test_what_cannot_be_trained_on_is_said() -> None:
    with pytest.raises(DataError, match="No such intent: gym"):
        trained(examples=[*few_queries(), Example("where is the gym", "gym")])
    with pytest.raises(DataError, match="must be examples"):
        trained(examples=[])


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(TrainingDiverged, match="Epoch 1"):
        trained(replace(QUICK, learning_rate=float("nan")))
