"""How sure a version may say it is: fitted on the validation side, after training."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from contracts.outcome import OUT_OF_SCOPE
from models.confidence import Calibration, ScopeWeights, calibrated

FEW_OUTSIDE: Final = 50
"""With fewer out-of-scope examples on the validation side nothing is fitted to them."""

_TEMPERATURES: Final = (0.05, 20.0)
_FOLDS: Final = 5


def fit_calibration(
    logits: NDArray[np.float32], targets: Sequence[int], *, labels: Sequence[str]
) -> Calibration:
    """Return what makes `targets` likeliest, given logits of shape (texts, labels).

    A temperature alone; or a temperature over the in-scope intents and weights for
    `out_of_scope`, where these foretell examples better that they were not fitted to (the
    validation side in five folds). Equal arguments give equal results.
    """
    truth = np.asarray(targets, dtype=np.intp)
    plain = Calibration(fit_temperature(logits, targets))
    if OUT_OF_SCOPE not in labels:
        return plain
    outside = list(labels).index(OUT_OF_SCOPE)
    if not FEW_OUTSIDE <= int((truth == outside).sum()) < len(truth):
        return plain
    fold_of = np.random.default_rng(0).permutation(len(truth)) % _FOLDS
    losses = np.zeros(2)
    for fold in range(_FOLDS):
        fitted, kept = fold_of != fold, fold_of == fold
        for number, calibration in enumerate(
            (
                Calibration(fit_temperature(logits[fitted], truth[fitted].tolist())),
                _fit_scope(logits[fitted], truth[fitted], outside=outside),
            )
        ):
            losses[number] += surprise(calibration, logits[kept], truth[kept]).sum()
    return plain if losses[0] <= losses[1] else _fit_scope(logits, truth, outside=outside)


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


def surprise(
    calibration: Calibration, logits: NDArray[np.float32], targets: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return -log of the probability that each target was given: shape (texts,)."""
    chosen = calibration.probabilities(logits)[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.maximum(chosen, 1e-12)))


def _fit_scope(
    logits: NDArray[np.float32], targets: NDArray[np.intp], *, outside: int
) -> Calibration:
    """Fit the temperature on what is in scope, then the weights of out_of_scope on everything.

    The likelihood falls apart so: which intent, if one; and whether one.
    """
    is_outside = targets == outside
    within = targets[~is_outside]
    temperature = fit_temperature(
        np.delete(logits[~is_outside], outside, axis=1), (within - (within > outside)).tolist()
    )
    scaled = logits.astype(np.float64) / temperature
    energy = -np.logaddexp.reduce(np.delete(scaled, outside, axis=1), axis=1)
    features = np.stack([np.ones(len(scaled)), energy, scaled[:, outside]], axis=1)
    signs = np.where(is_outside, 1.0, -1.0)
    plain = np.array([0.0, 1.0, 1.0])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (features @ weights)
        pulls = -signs * np.exp(-np.logaddexp(0.0, margins))
        # Few examples must not carry the weights far from what the network says by itself.
        away = weights - plain
        value = np.logaddexp(0.0, -margins).sum() + 0.5 * away @ away
        return float(value), pulls @ features + away

    found = minimize(
        loss, plain, jac=True, method="L-BFGS-B", bounds=[(None, None), (0, None), (0, None)]
    )
    return Calibration(
        temperature, ScopeWeights(*(round(float(weight), 4) for weight in found.x)), outside
    )
