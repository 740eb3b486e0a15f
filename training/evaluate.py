"""How good a version is, measured on what is served: the int8 ONNX file, through models/classifier.

Thresholds and temperature come from the validation side alone; the test side only judges. What is
measured goes into a manifest, which keeps it for ever: so it counts test queries and quotes none,
for they may be people's.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from contracts.errors import ArtifactError, DataError
from contracts.outcome import OUT_OF_SCOPE, decide
from contracts.records import Prediction
from models.classifier import IntentClassifier
from training.examples import Example
from training.invariance import Invariance, check_invariance
from training.resident_memory import measure_resident_bytes
from training.scores import Answered, Scores, measure

_TIMED: Final = 200
"""Queries that are asked one at a time for the latency."""

_ROUNDS: Final = 3
_TYPED_OTHERWISE: Final = 1_000
"""Queries, at most, that are asked again with typos, in capitals, with fillers."""


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
    """Compare predictions with what the examples say.

    What looks out of scope is told by the probability of that intent, so predictions should carry
    all alternatives; one that is not among them counts as 0. Raises ValueError without predictions.
    """
    answers = [
        Answered(
            intent=example.intent,
            given=prediction.intent,
            confidence=prediction.confidence,
            out_of_scope_score=_out_of_scope_score(prediction, labels=labels),
            is_confused=is_confused(prediction),
        )
        for prediction, example in zip(predictions, examples, strict=True)
    ]
    return measure(answers, labels=labels)


def misses(predictions: Sequence[Prediction], examples: Sequence[Example]) -> list[Miss]:
    """Return what went wrong, surest first."""
    found = [
        Miss(example.text, example.intent, prediction.intent, prediction.confidence)
        for prediction, example in zip(predictions, examples, strict=True)
        if prediction.intent != example.intent
    ]
    return sorted(found, key=lambda miss: -miss.confidence)


def evaluate(
    folder: Path,
    *,
    test: Sequence[Example],
    golden: Sequence[Example] = (),
    answers_file: Path | None = None,
) -> dict[str, Any]:
    """Measure the version in `folder` and return what goes into its manifest as `metrics`.

    Each query is asked alone, as by a lone client: in int8 an answer moves a little with its batch
    mates, and a figure must not depend on who else is in the set.

    `test` holds Scores. `golden.least_margin` is the smallest distance, over the golden queries,
    of the mandatory intent's confidence to the best other one; below zero when one is missed.
    `invariance` says of each check how many queries were asked otherwise and how many kept their
    intent. `latency_ms` is over queries, of each the quickest of three rounds, so that what else
    the machine does counts little; `memory_bytes` is resident in a process that
    holds the model alone, after a pass; `served_bytes` is the size of the ONNX file.

    `answers_file`, when given, gets one JSON line a test query: its text, its intent, what was
    given, and what each check changed. As each line has the `text`, erasing a person from a
    version takes theirs out. Raises DataError for an empty test set, ArtifactError for a version
    that gives no numbers.
    """
    if not test:
        raise DataError("The test set is empty: nothing would say how good this version is.")
    classifier = IntentClassifier(folder, max_batch=1)
    texts = [example.text for example in test]
    predictions = classifier.predict(texts, top=len(classifier.labels))
    if not all(math.isfinite(prediction.confidence) for prediction in predictions):
        raise ArtifactError(f"{folder.name} gives confidences that are not numbers.")
    checked = sorted(zip(test, predictions, strict=True), key=lambda pair: pair[0].digest)
    invariance = check_invariance(
        [example.text for example, _ in checked[:_TYPED_OTHERWISE]],
        intents=[prediction.intent for _, prediction in checked[:_TYPED_OTHERWISE]],
        answer=lambda asked: [one.intent for one in classifier.predict(asked)],
    )
    if answers_file is not None:
        _write_answers(answers_file, test, predictions=predictions, invariance=invariance)
    return {
        "test": asdict(score(predictions, test, labels=classifier.labels)),
        "golden": _golden(classifier, golden) if golden else None,
        "invariance": {one.check: _counted(one) for one in invariance},
        "served_bytes": (folder / "model.onnx").stat().st_size,
        "memory_bytes": measure_resident_bytes(folder),
        "latency_ms": _latency(classifier, texts[:_TIMED]),
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


def _out_of_scope_score(prediction: Prediction, *, labels: Sequence[str]) -> float:
    if OUT_OF_SCOPE not in labels:
        return 1 - prediction.confidence
    probabilities = {one.intent: one.confidence for one in prediction.alternatives}
    return probabilities.get(OUT_OF_SCOPE, 0.0)


def _golden(classifier: IntentClassifier, golden: Sequence[Example]) -> dict[str, Any]:
    found = margins(classifier, golden)
    return {
        "queries": len(golden),
        "right": sum(margin > 0 for margin in found),
        "least_margin": round(min(found), 4),
        "missed": [e.text for e, margin in zip(golden, found, strict=True) if margin <= 0],
    }


def _counted(invariance: Invariance) -> dict[str, Any]:
    pairs = Counter((one.intent, one.given) for one in invariance.changed)
    return {
        "queries": invariance.queries,
        "kept": invariance.kept,
        "changed": [
            {"intent": intent, "given": given, "examples": examples}
            for (intent, given), examples in sorted(pairs.items(), key=lambda one: (-one[1], one))
        ],
    }


def _write_answers(
    file: Path,
    test: Sequence[Example],
    *,
    predictions: Sequence[Prediction],
    invariance: Sequence[Invariance],
) -> None:
    changed = {
        (one.text, check.check): {"asked_as": one.asked_as, "given": one.given}
        for check in invariance
        for one in check.changed
    }
    with file.open("w", encoding="utf-8") as target:
        for example, prediction in zip(test, predictions, strict=True):
            row = {
                "text": example.text,
                "intent": example.intent,
                "given": prediction.intent,
                "confidence": prediction.confidence,
                "changed": {
                    check.check: changed[example.text, check.check]
                    for check in invariance
                    if (example.text, check.check) in changed
                },
            }
            target.write(json.dumps(row, ensure_ascii=False) + "\n")


def _latency(classifier: IntentClassifier, texts: Sequence[str]) -> dict[str, float]:
    def timed(text: str) -> float:
        began = time.perf_counter()
        classifier.predict([text])
        return (time.perf_counter() - began) * 1e3

    rounds = [[timed(text) for text in texts] for _ in range(_ROUNDS)]
    taken = np.min(rounds, axis=0)
    return {f"p{share}": round(float(np.percentile(taken, share)), 2) for share in (50, 95)}
