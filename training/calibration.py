"""How sure a version may say it is: fitted on the validation side, after training."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.classifier import calibrated

_TEMPERATURES: Final = (0.05, 20.0)


def fit_temperature(logits: NDArray[np.float32], targets: Sequence[int]) -> float:
    """Return the temperature under which `targets` are likeliest, given logits (texts, labels).

    Only a number that divides all logits is fitted, so the order of intents never changes.
    """

    def loss(log_temperature: float) -> float:
        probabilities = calibrated(logits, temperature=float(np.exp(log_temperature)))
        chosen = probabilities[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    # Ternary search: in the logarithm of the temperature the loss falls, then rises.
    low, high = (float(np.log(bound)) for bound in _TEMPERATURES)
    while high - low > 1e-4:
        third = (high - low) / 3
        if loss(low + third) <= loss(high - third):
            high -= third
        else:
            low += third
    return round(float(np.exp((low + high) / 2)), 4)
