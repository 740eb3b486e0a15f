"""How good a version is, measured on what is served: the int8 ONNX file, through models/classifier.

Thresholds and temperature come from the validation side alone; the test side only judges.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from contracts.outcome import OUT_OF_SCOPE, decide
from contracts.records import Prediction
from models.classifier import IntentClassifier
from training.examples import Example

ECE_BINS: Final = 15


def expected_calibration_error(
    confidences: Sequence[float], right: Sequence[bool], *, bins: int = ECE_BINS
) -> float:
    """Return the mean distance of confidence and accuracy over bins of equal mass, in [0, 1]."""
    if not confidences:
        return 0.0
    order = np.argsort(np.asarray(confidences), kind="stable")
    sure = np.asarray(confidences, dtype=np.float64)[order]
    hits = np.asarray(right, dtype=np.float64)[order]
    edges = np.linspace(0, len(sure), min(bins, len(sure)) + 1).round().astype(int)
    gaps = (
        (stop - start) * abs(float(sure[start:stop].mean() - hits[start:stop].mean()))
        for start, stop in pairwise(edges)
    )
    return float(sum(gaps)) / len(sure)


@dataclass(frozen=True, slots=True)
class IntentScore:
    """Precision and recall of one intent in [0, 1]; `examples` are those that truly carry it."""

    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured on one set of queries; shares in [0, 1].

    `out_of_scope_flagged`: of the out-of-scope queries, those that a client sees as confused.
    `in_scope_confused`: of the others, those that a client sees as confused.
    """

    examples: int
    accuracy: float
    macro_f1: float
    ece: float
    out_of_scope_flagged: float
    in_scope_confused: float
    intents: dict[str, IntentScore]


@dataclass(frozen=True, slots=True)
class Miss:
    """A query that got another intent than it must have."""

    text: str
    intent: str
    given: str
    confidence: float


def is_confused(prediction: Prediction) -> bool:
    """Say whether a client would be told that the hub is not sure."""
    outcome, _ = decide(
        prediction.intent,
        confidence=prediction.confidence,
        runner_up=prediction.alternatives[1].confidence,
    )
    return outcome != "answered"


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], *, labels: Sequence[str]
) -> Scores:
    """Compare predictions with what the examples say."""
    pairs = list(zip(predictions, examples, strict=True))
    intents = {label: _score_intent(pairs, label=label) for label in labels}
    present = [intent.f1 for intent in intents.values() if intent.examples]
    hits = [prediction.intent == example.intent for prediction, example in pairs]
    outside = [is_confused(p) for p, example in pairs if example.intent == OUT_OF_SCOPE]
    inside = [is_confused(p) for p, example in pairs if example.intent != OUT_OF_SCOPE]
    return Scores(
        examples=len(pairs),
        accuracy=_mean(hits),
        macro_f1=_mean(present),
        ece=round(expected_calibration_error([p.confidence for p in predictions], hits), 4),
        out_of_scope_flagged=_mean(outside),
        in_scope_confused=_mean(inside),
        intents=intents,
    )


def misses(predictions: Sequence[Prediction], examples: Sequence[Example]) -> list[Miss]:
    """Return what went wrong, surest first."""
    found = [
        Miss(example.text, example.intent, prediction.intent, prediction.confidence)
        for prediction, example in zip(predictions, examples, strict=True)
        if prediction.intent != example.intent
    ]
    return sorted(found, key=lambda miss: -miss.confidence)


def evaluate(
    folder: Path, *, test: Sequence[Example], golden: Sequence[Example] = ()
) -> dict[str, Any]:
    """Measure the candidate in `folder` and return what goes into its manifest as `metrics`.

    `golden.least_margin` is the smallest distance, over the golden queries, of the mandatory
    intent's confidence to the best other one; below zero when one is missed.
    """
    classifier = IntentClassifier(folder)
    scores = score(classifier.predict([e.text for e in test]), test, labels=classifier.labels)
    return {
        "test": asdict(scores),
        "golden": _golden(classifier, golden) if golden else None,
        "served_bytes": (folder / "model.onnx").stat().st_size,
        "latency_ms": _latency(classifier, [e.text for e in test[:200]]),
    }


def read_golden(file: Path) -> list[Example]:
    """Read the golden set: `{"queries": [{"text", "intent"}]}`."""
    rows = json.loads(file.read_text())["queries"]
    return [Example(text=row["text"], intent=row["intent"]) for row in rows]


def margins(classifier: IntentClassifier, examples: Sequence[Example]) -> list[float]:
    """Return each example's confidence in its own intent minus that in the best other one.

    One query at a time, as a lone client would ask it.
    """
    found = []
    for example in examples:
        probabilities = classifier.finish(classifier.logits([example.text]))[0]
        own = classifier.labels.index(example.intent)
        found.append(float(probabilities[own] - np.delete(probabilities, own).max()))
    return found


def _golden(classifier: IntentClassifier, golden: Sequence[Example]) -> dict[str, Any]:
    found = margins(classifier, golden)
    return {
        "queries": len(golden),
        "right": sum(margin > 0 for margin in found),
        "least_margin": round(min(found), 4),
        "missed": [e.text for e, margin in zip(golden, found, strict=True) if margin <= 0],
    }


def _latency(classifier: IntentClassifier, texts: Sequence[str]) -> dict[str, float]:
    taken = []
    for text in texts:
        began = time.perf_counter()
        classifier.predict([text])
        taken.append((time.perf_counter() - began) * 1e3)
    if not taken:
        return {}
    return {f"p{share}": round(float(np.percentile(taken, share)), 2) for share in (50, 95)}


def _score_intent(pairs: Sequence[tuple[Prediction, Example]], *, label: str) -> IntentScore:
    given = sum(prediction.intent == label for prediction, _ in pairs)
    true = sum(example.intent == label for _, example in pairs)
    both = sum(prediction.intent == label == example.intent for prediction, example in pairs)
    precision = both / given if given else 0.0
    recall = both / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return IntentScore(round(precision, 4), round(recall, 4), round(f1, 4), true)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0
