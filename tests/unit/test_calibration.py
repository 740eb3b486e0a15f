"""The confidence: what is fitted, and what it says of answers that are known."""

import numpy as np
import pytest

from models.classifier import calibrated
from training.calibration import fit_temperature


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_that_the_answers_were_drawn_with(
    true_temperature: float,
) -> None:
    drawn = np.random.default_rng(7)
    logits = (drawn.standard_normal((20_000, 5)) * 3).astype(np.float32)
    probabilities = calibrated(logits, temperature=true_temperature)
    targets = [int((row.cumsum() < drawn.random()).sum()) for row in probabilities]
    assert fit_temperature(logits, targets) == pytest.approx(true_temperature, rel=0.05)
