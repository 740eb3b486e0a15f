"""A Ray that cannot be had is told in a sentence."""

from typing import Any

import pytest
import ray

from contracts.errors import RayUnavailable
from training.ray_job import connected


@pytest.mark.parametrize(
    ("address", "what_to_do"),
    [("", "when the machine has less to do"), ("10.0.0.1:6379", "RAY_ADDRESS names it")],
    ids=["its own", "a cluster's"],
)
def test_a_ray_that_does_not_come_up_is_an_error_of_ours(
    address: str, what_to_do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(**given: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setenv("RAY_AUTH_MODE", "")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        pytest.raises(RayUnavailable, match=f"timed out during startup.*{what_to_do}"),
        connected(),
    ):
        pass
