"""How good answers are that carry an intent and a confidence: a module for `evaluate.load`.

The library copies this one file into its cache and imports it there: so it needs scikit-learn, and
nothing of this project. The project asks it through training/scores.py.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

_DESCRIPTION = "Accuracy, F1, calibration and rejection of an intent classifier."

_INPUTS = """
One row a query.
Args:
    predictions: the intent that was given.
    references: the intent that it carries.
    confidences: the calibrated probability of the given intent, in [0, 1].
    out_of_scope_scores: any number that is higher where a query looks more out of scope.
    is_confused: whether a client is told that the hub is not sure.
    labels: the intents to score one by one, in order.
    out_of_scope: the name of the intent that stands for no intent.
    bins: how many bins of equal mass the calibration is measured over.
    in_scope_accuracy: what a threshold on the score must leave of the in-scope accuracy.
Returns a dict of plain numbers. What cannot be measured, because no query is out of scope or none
is in scope, or because the accuracy is below `in_scope_accuracy` without any threshold, is None.
Raises ValueError without queries, and for a confidence or score that is no number.
"""


class IntentMetrics(evaluate.Metric):
    """Every measure of answers that are compared with what they must be."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                    "confidences": datasets.Value("float64"),
                    "out_of_scope_scores": datasets.Value("float64"),
                    "is_confused": datasets.Value("bool"),
                }
            ),
        )

    def _compute(
        self,
        *,
        predictions: Sequence[str],
        references: Sequence[str],
        confidences: Sequence[float],
        out_of_scope_scores: Sequence[float],
        is_confused: Sequence[bool],
        labels: Sequence[str],
        out_of_scope: str = "out_of_scope",
        bins: int = 15,
        in_scope_accuracy: float = 0.95,
    ) -> dict[str, Any]:
        _refuse_what_cannot_be_measured(confidences, out_of_scope_scores)
        hits = [given == true for given, true in zip(predictions, references, strict=True)]
        outside = np.array([true == out_of_scope for true in references])
        scores, confused = np.array(out_of_scope_scores), np.array(is_confused)
        intents = _by_intent(predictions, references, labels=labels)
        reliability = _reliability(confidences, hits, bins=bins)
        return {
            "examples": len(references),
            "accuracy": float(accuracy_score(references, predictions)),
            "macro_f1": _mean(one["f1"] for one in intents.values() if one["examples"]),
            "ece": _gap(reliability),
            "out_of_scope_recall": _mean(np.array(predictions)[outside] == out_of_scope),
            "out_of_scope_auroc": _auroc(outside, scores),
            "out_of_scope_recall_in_scope_kept": _recall_in_scope_kept(
                outside, scores, hits=np.array(hits), in_scope_accuracy=in_scope_accuracy
            ),
            "out_of_scope_flagged": _mean(confused[outside]),
            "in_scope_confused": _mean(confused[~outside]),
            "intents": intents,
            "confusions": _confusions(predictions, references),
            "reliability": reliability,
        }


def _refuse_what_cannot_be_measured(confidences: Sequence[float], scores: Sequence[float]) -> None:
    if not confidences:
        raise ValueError("nothing to measure: no queries")
    for number, (confidence, score) in enumerate(zip(confidences, scores, strict=True)):
        if not (math.isfinite(confidence) and math.isfinite(score)):
            raise ValueError(f"query {number}: its confidence or its score is no number")


def _by_intent(
    predictions: Sequence[str], references: Sequence[str], *, labels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return each intent's precision, recall, F1, queries that carry it, and those got right."""
    right = Counter(
        true for given, true in zip(predictions, references, strict=True) if given == true
    )
    columns = precision_recall_fscore_support(
        references, predictions, labels=list(labels), average=None, zero_division=0
    )
    return {
        label: {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "examples": int(examples),
            "right": right[label],
        }
        for label, precision, recall, f1, examples in zip(labels, *columns, strict=True)
    }


def _reliability(
    confidences: Sequence[float], hits: Sequence[bool], *, bins: int
) -> list[dict[str, Any]]:
    """Return bins of equal mass, least sure first: mean confidence, accuracy, and how many.

    scikit-learn's calibration_curve cuts at quantiles, where equal confidences fall into one bin:
    of a model that is often sure, most of its bins would be empty.
    """
    order = np.argsort(np.asarray(confidences), kind="stable")
    sure = np.asarray(confidences, dtype=np.float64)[order]
    right = _shared_by_equals(sure, np.asarray(hits, dtype=np.float64)[order])
    edges = np.linspace(0, len(sure), min(bins, len(sure)) + 1).round().astype(int)
    return [
        {
            "confidence": float(sure[start:stop].mean()),
            "accuracy": float(right[start:stop].mean()),
            "low": float(sure[start]),
            "high": float(sure[stop - 1]),
            "examples": int(stop - start),
        }
        for start, stop in pairwise(edges)
    ]


def _shared_by_equals(sure: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return hits in which answers of one confidence share theirs.

    Where an edge falls between equals, the order of the queries would decide which bin has the
    hits: the figure must not depend on it.
    """
    _, group, sizes = np.unique(sure, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(group, weights=right) / sizes)[group])


def _gap(reliability: Sequence[dict[str, Any]]) -> float:
    """Return the expected calibration error: the bins' mean distance of confidence and accuracy."""
    apart = sum(abs(one["confidence"] - one["accuracy"]) * one["examples"] for one in reliability)
    return float(apart / sum(one["examples"] for one in reliability))


def _auroc(outside: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    if outside.all() or not outside.any():
        return None
    return float(roc_auc_score(outside, scores))


def _recall_in_scope_kept(
    outside: NDArray[np.bool_],
    scores: NDArray[np.float64],
    *,
    hits: NDArray[np.bool_],
    in_scope_accuracy: float,
) -> float | None:
    """Return the share of out-of-scope queries above the lowest threshold that is low enough.

    What scores above the threshold is rejected, and a rejected in-scope query is an error; of the
    in-scope queries, so many must still be right.
    """
    inside = int((~outside).sum())
    right = np.sort(scores[~outside & hits])
    needed = math.ceil(round(in_scope_accuracy * inside, 9))
    if not inside or not outside.any() or needed > len(right):
        return None
    threshold = right[needed - 1] if needed else -math.inf
    return float((scores[outside] > threshold).mean())


def _confusions(predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
    """Return what was taken for what, most often first."""
    pairs = Counter(
        (true, given) for given, true in zip(predictions, references, strict=True) if given != true
    )
    return [
        {"intent": true, "given": given, "examples": examples}
        for (true, given), examples in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))
    ]


def _mean(values: Iterable[Any]) -> float | None:
    found = [float(value) for value in values]
    return sum(found) / len(found) if found else None
