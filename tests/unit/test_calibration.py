"""The confidence: what is fitted, and what it says of answers that are known."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.errors import ArtifactError
from contracts.outcome import OUT_OF_SCOPE
from models.confidence import Calibration, ScopeWeights, calibrated, read_calibration
from store.registry import Manifest, ScopeRecord
from training.calibration import fit_calibration, fit_temperature

LABELS = ("library", "dining", OUT_OF_SCOPE, "housing", "admissions")
OUTSIDE = LABELS.index(OUT_OF_SCOPE)
WEIGHTS = ScopeWeights(bias=-1.5, energy=1.8, logit=0.6)


def drawn_logits(rows: int, *, seed: int = 7) -> NDArray[np.float32]:
    spread = np.random.default_rng(seed).standard_normal((rows, len(LABELS))) * 3
    return spread.astype(np.float32)


def drawn_targets(probabilities: NDArray[np.float64], *, seed: int = 8) -> list[int]:
    """What comes true of each row, as often as the row says."""
    chances = np.random.default_rng(seed).random(len(probabilities))
    below = (probabilities.cumsum(axis=1) < chances[:, None]).sum(axis=1)
    return [int(column) for column in np.minimum(below, len(LABELS) - 1)]


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_that_the_answers_were_drawn_with(
    true_temperature: float,
) -> None:
    logits = drawn_logits(20_000)
    targets = drawn_targets(calibrated(logits, temperature=true_temperature))
    assert fit_temperature(logits, targets) == pytest.approx(true_temperature, rel=0.05)


def test_a_temperature_changes_confidence_and_never_order() -> None:
    logits = np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 2.9]], dtype=np.float32)
    sharp, soft = calibrated(logits, temperature=0.5), calibrated(logits, temperature=2.0)
    assert np.allclose(sharp.sum(axis=1), 1)
    assert (sharp.max(axis=1) > soft.max(axis=1)).all()
    assert (sharp.argsort(axis=1) == soft.argsort(axis=1)).all()


def test_huge_logits_do_not_overflow() -> None:
    probabilities = calibrated(np.array([[1e4, -1e4]], dtype=np.float32), temperature=0.1)
    assert probabilities.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("scope", [None, ScopeWeights(), WEIGHTS, ScopeWeights(3.0, 0.0, 0.0)])
def test_confidences_are_a_distribution_whatever_the_logits(scope: ScopeWeights | None) -> None:
    extremes = np.array([[1e4, -1e4, 0, 5, 5], [-1e4] * 5, [1e4] * 5], dtype=np.float32)
    logits = np.concatenate([drawn_logits(500), extremes])
    probabilities = Calibration(0.3, scope, OUTSIDE).probabilities(logits)
    assert probabilities.shape == logits.shape
    assert (probabilities >= 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_by_default_it_is_the_plain_temperature() -> None:
    logits = drawn_logits(500)
    plain = calibrated(logits, temperature=1.7)
    assert np.array_equal(Calibration(1.7).probabilities(logits), plain)
    unfitted = Calibration(1.7, ScopeWeights(), OUTSIDE)
    assert np.allclose(unfitted.probabilities(logits), plain, atol=1e-12)


def test_the_logits_given_stay_as_they_are() -> None:
    logits = drawn_logits(20)
    before = logits.copy()
    Calibration(1.0, WEIGHTS, OUTSIDE).probabilities(logits)
    assert np.array_equal(logits, before)


def test_out_of_scope_grows_with_its_own_logit_and_shrinks_with_any_others() -> None:
    calibration = Calibration(0.8, WEIGHTS, OUTSIDE)
    logits = drawn_logits(200)
    before = calibration.probabilities(logits)[:, OUTSIDE]
    for column in range(len(LABELS)):
        raised = logits.copy()
        raised[:, column] += 1
        after = calibration.probabilities(raised)[:, OUTSIDE]
        assert (after > before).all() if column == OUTSIDE else (after < before).all()


def test_the_order_of_intents_in_scope_is_that_of_their_logits() -> None:
    logits = drawn_logits(200)
    probabilities = Calibration(0.8, WEIGHTS, OUTSIDE).probabilities(logits)
    inside = [column for column in range(len(LABELS)) if column != OUTSIDE]
    assert np.array_equal(
        probabilities[:, inside].argsort(axis=1), logits[:, inside].argsort(axis=1)
    )


def test_the_fitted_weights_are_those_that_the_answers_were_drawn_with() -> None:
    logits = drawn_logits(6_000)
    targets = drawn_targets(Calibration(0.8, WEIGHTS, OUTSIDE).probabilities(logits))
    fitted = fit_calibration(logits, targets, labels=LABELS)
    assert fitted.outside == OUTSIDE
    assert fitted.temperature == pytest.approx(0.8, rel=0.05)
    assert fitted.scope is not None
    assert fitted.scope.bias == pytest.approx(WEIGHTS.bias, abs=0.2)
    assert fitted.scope.energy == pytest.approx(WEIGHTS.energy, rel=0.1)
    assert fitted.scope.logit == pytest.approx(WEIGHTS.logit, rel=0.1)


def test_equal_answers_give_equal_weights() -> None:
    logits = drawn_logits(3_000)
    targets = drawn_targets(Calibration(0.8, WEIGHTS, OUTSIDE).probabilities(logits))
    first, second = (fit_calibration(logits, targets, labels=LABELS) for _ in range(2))
    assert first.scope is not None
    assert first == second


def test_weights_that_foretell_nothing_better_are_left_out() -> None:
    logits = drawn_logits(1_500)
    targets = drawn_targets(calibrated(logits, temperature=1.3))
    assert fit_calibration(logits, targets, labels=LABELS).scope is None


def test_evidence_against_its_sense_gives_a_weight_of_zero_and_never_less() -> None:
    logits = drawn_logits(3_000)
    inside = calibrated(np.delete(logits, OUTSIDE, axis=1), temperature=1.0).argmax(axis=1)
    # Out of scope is whatever its own logit denies.
    targets = [
        OUTSIDE if row[OUTSIDE] < -2 else int(best + (best >= OUTSIDE))
        for row, best in zip(logits, inside, strict=True)
    ]
    fitted = fit_calibration(logits, targets, labels=LABELS)
    assert fitted.scope is not None
    assert fitted.scope.logit == 0
    assert fitted.scope.energy >= 0


@pytest.mark.parametrize("outside", [0, 49])
def test_few_or_no_out_of_scope_examples_are_fitted_by_a_temperature_alone(outside: int) -> None:
    logits = drawn_logits(500)
    targets = [OUTSIDE] * outside + [0] * (500 - outside)
    assert fit_calibration(logits, targets, labels=LABELS).scope is None


def test_labels_without_out_of_scope_are_fitted_by_a_temperature_alone() -> None:
    labels = tuple(f"intent {number}" for number in range(len(LABELS)))
    logits = drawn_logits(500)
    targets = drawn_targets(calibrated(logits, temperature=1.0))
    assert fit_calibration(logits, targets, labels=labels) == Calibration(
        fit_temperature(logits, targets)
    )


def manifest(**changes: Any) -> Manifest:
    given = {
        "kind": "distilbert-synthetic",
        "labels": LABELS,
        "temperature": 1.25,
        "backbone": "all-MiniLM-L6-v2",
        "dataset": {"digest": "d"},
        "split": {"digest": "s"},
        "seed": 17,
        "recipe": "r",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Manifest.model_validate(given | changes)


def test_a_manifest_of_before_reads_as_a_temperature_alone() -> None:
    document = json.loads(manifest().model_dump_json(exclude={"out_of_scope"}))
    assert read_calibration(document) == Calibration(1.25)
    assert read_calibration(json.loads(manifest().model_dump_json())) == Calibration(1.25)
    assert Manifest.model_validate(document) == manifest()


def test_a_manifest_carries_the_weights_to_who_serves() -> None:
    written = manifest(out_of_scope=ScopeRecord(**asdict(WEIGHTS))).model_dump_json()
    assert read_calibration(json.loads(written)) == Calibration(1.25, WEIGHTS, OUTSIDE)


def test_weights_of_an_intent_that_is_not_there_are_refused() -> None:
    written = manifest(labels=("library", "dining"), out_of_scope=asdict(WEIGHTS))
    with pytest.raises(ArtifactError, match="candidate weighs out_of_scope"):
        read_calibration(json.loads(written.model_dump_json()))
