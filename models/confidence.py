"""Logits to calibrated probabilities: a temperature, and how much out of scope a query seems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ArtifactError
from contracts.outcome import OUT_OF_SCOPE


def calibrated(logits: NDArray[np.float32], *, temperature: float) -> NDArray[np.float64]:
    """Turn logits into calibrated probabilities: softmax of logits / temperature, row by row.

    Shapes (texts, labels) in and out. The temperature is fitted on the validation split
    (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class ScopeWeights:
    """How the probability of `out_of_scope` follows from a query's logits.

    Its log odds are `bias + energy * E + logit * own`, where E is the energy of the in-scope
    logits, -log(sum(exp(logits / temperature))) (Liu et al. 2020, "Energy-based
    Out-of-distribution Detection"), and `own` the out-of-scope logit / temperature. No weight but
    the bias is below zero: more energy never means more in scope. The defaults are what a softmax
    over all logits does.
    """

    bias: float = 0.0
    energy: float = 1.0
    logit: float = 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes one version's logits probabilities; fitted on its validation split.

    With `scope`, column `outside` of the logits is that of `out_of_scope`: its probability comes
    from the weights, and the other intents share the rest as their softmax says. Without, it is
    a softmax over all columns. Either way a row is a distribution.
    """

    temperature: float
    scope: ScopeWeights | None = None
    outside: int | None = None

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Turn logits into calibrated probabilities. Shapes (texts, labels) in and out."""
        if self.scope is None or self.outside is None:
            return calibrated(logits, temperature=self.temperature)
        scaled = logits.astype(np.float64) / self.temperature
        own, inside = scaled[:, self.outside].copy(), scaled
        inside[:, self.outside] = -np.inf
        top = inside.max(axis=1)
        energy = -top - np.log(np.exp(inside - top[:, None]).sum(axis=1))
        odds = self.scope.bias + self.scope.energy * energy + self.scope.logit * own
        # log(1 - p), then p; by logaddexp, so that no logit is too large.
        probabilities = np.exp(inside + (energy - np.logaddexp(0.0, odds))[:, None])
        probabilities[:, self.outside] = np.exp(-np.logaddexp(0.0, -odds))
        return np.asarray(probabilities)


def read_calibration(manifest: Mapping[str, Any]) -> Calibration:
    """Return what a version's manifest says of its confidence.

    One without `out_of_scope` has a temperature alone. Raises ArtifactError for weights of an
    intent that the version does not have.
    """
    labels, weights = list(manifest["labels"]), manifest.get("out_of_scope")
    if weights is None:
        return Calibration(float(manifest["temperature"]))
    if OUT_OF_SCOPE not in labels:
        raise ArtifactError(
            f"{manifest['version']} weighs {OUT_OF_SCOPE}, which is none of its labels."
        )
    scope = ScopeWeights(**{name: float(weight) for name, weight in weights.items()})
    return Calibration(float(manifest["temperature"]), scope, labels.index(OUT_OF_SCOPE))
