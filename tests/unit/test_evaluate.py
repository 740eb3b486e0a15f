"""The measures: what they say of answers that are known."""

import numpy as np
import pytest

from contracts.outcome import OUT_OF_SCOPE
from contracts.records import IntentProbability, Prediction
from training.evaluate import expected_calibration_error, misses, score
from training.examples import Example

LABELS = ("library", "dining", OUT_OF_SCOPE)


def predicted(intent: str, confidence: float, *, runner_up: float | None = None) -> Prediction:
    other = next(label for label in LABELS if label != intent)
    rest = 1 - confidence if runner_up is None else runner_up
    return Prediction((IntentProbability(intent, confidence), IntentProbability(other, rest)), "v0")


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    confidences = [0.75] * 400
    right = [number % 4 != 0 for number in range(400)]
    assert expected_calibration_error(confidences, right, bins=1) == pytest.approx(0)


def test_a_model_that_is_always_sure_and_half_right_is_off_by_a_half() -> None:
    right = [number % 2 == 0 for number in range(300)]
    assert expected_calibration_error([1.0] * 300, right) == pytest.approx(0.5, abs=0.03)


def test_bins_have_equal_mass() -> None:
    # Fifteen bins of two: in each one sure and right, one sure and wrong.
    confidences = [number / 100 for number in range(30)]
    right = [number % 2 == 0 for number in range(30)]
    expected = np.mean([abs((2 * pair * 2 + 1) / 200 - 0.5) for pair in range(15)])
    assert expected_calibration_error(confidences, right) == pytest.approx(expected)


def test_nothing_measured_is_no_error() -> None:
    assert expected_calibration_error([], []) == 0.0


def test_scores_count_what_a_client_sees_as_confused() -> None:
    examples = [
        Example("1", "library"),
        Example("2", "library"),
        Example("3", "dining"),
        Example("4", OUT_OF_SCOPE),
        Example("5", OUT_OF_SCOPE),
    ]
    predictions = [
        predicted("library", 0.9),
        predicted("library", 0.55),  # right, and too unsure to be an answer
        predicted("library", 0.95),
        predicted(OUT_OF_SCOPE, 0.9),
        predicted("dining", 0.9),
    ]
    found = score(predictions, examples, labels=LABELS)
    assert found.accuracy == 0.6
    assert found.in_scope_confused == pytest.approx(1 / 3, abs=1e-4)
    assert found.out_of_scope_flagged == 0.5
    assert found.intents["library"].precision == pytest.approx(2 / 3, abs=1e-4)
    assert found.intents["library"].recall == 1.0
    assert found.intents["dining"].f1 == 0.0


def test_misses_are_listed_surest_first() -> None:
    examples = [Example("a", "dining"), Example("b", "dining"), Example("c", "dining")]
    predictions = [predicted("library", 0.5), predicted("dining", 0.9), predicted("library", 0.8)]
    assert [miss.text for miss in misses(predictions, examples)] == ["c", "a"]
