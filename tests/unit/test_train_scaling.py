"""What a training asks of a cluster."""

import pytest

from contracts.settings import Settings
from training.scaling import Scaling


@pytest.mark.parametrize(
    ("resource", "on_gpu", "asked"),
    [
        ("CPU", False, {"CPU": 1.0}),
        ("training", False, {"training": 1.0}),
        ("training", True, {"training": 1.0, "GPU": 1.0}),
    ],
)
def test_a_worker_asks_for_the_nodes_that_are_kept_for_training(
    resource: str, on_gpu: bool, asked: dict[str, float]
) -> None:
    scaling = Scaling.of(Settings(train_resource=resource))
    assert scaling.per_worker(on_gpu=on_gpu) == asked
    refusal = scaling.refusal(on_gpu=on_gpu, cluster={"CPU": 8.0}, free={"CPU": 8.0})
    assert all(f" {name} (" in refusal for name in asked)
