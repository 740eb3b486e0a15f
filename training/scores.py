"""How good a set of answers is: every measure, from the metric module in training/metrics."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from contracts.outcome import OUT_OF_SCOPE

ECE_BINS: Final = 15
IN_SCOPE_KEPT: Final = 0.95
"""In-scope accuracy that a threshold must leave, where recall of out-of-scope queries is named."""

_METRICS: Final = Path(__file__).parent / "metrics" / "intent_metrics" / "intent_metrics.py"
_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class Answered:
    """One query that was answered: what it is, what was given, and how sure.

    `out_of_scope_score` is higher where the query looks more out of scope; `is_confused` says
    whether a client is told that the hub is not sure.
    """

    intent: str
    given: str
    confidence: float
    out_of_scope_score: float
    is_confused: bool = False


@dataclass(frozen=True, slots=True)
class IntentScore:
    """Precision, recall and F1 of one intent in [0, 1]; `examples` truly carry it."""

    precision: float
    recall: float
    f1: float
    examples: int
    right: int


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers of like confidence, `low` to `high`: how sure they are, and how often right."""

    confidence: float
    accuracy: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many queries of one intent were given another."""

    intent: str
    given: str
    examples: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured on one set of queries; shares in [0, 1], None where nothing says it.

    `macro_f1` is over the intents that the set has. `ece` is over 15 bins of equal mass.
    `out_of_scope_recall`: of the out-of-scope queries, those that were given this intent.
    `out_of_scope_recall_in_scope_kept`: those above the threshold that leaves 95 % in-scope
    accuracy. `out_of_scope_flagged`: those that a client sees as confused. `in_scope_confused`:
    of the others, those that a client sees as confused.
    """

    examples: int
    accuracy: float
    macro_f1: float | None
    ece: float
    out_of_scope_recall: float | None
    out_of_scope_auroc: float | None
    out_of_scope_recall_in_scope_kept: float | None
    out_of_scope_flagged: float | None
    in_scope_confused: float | None
    intents: dict[str, IntentScore]
    confusions: tuple[Confusion, ...]
    reliability: tuple[ReliabilityBin, ...]


def measure(answers: Sequence[Answered], *, labels: Sequence[str]) -> Scores:
    """Compare answers with what the queries carry; `labels` are the intents scored one by one.

    Raises ValueError without answers, and for a confidence or score that is no number.
    """
    found: dict[str, Any] = _metrics().compute(
        predictions=[one.given for one in answers],
        references=[one.intent for one in answers],
        confidences=[one.confidence for one in answers],
        out_of_scope_scores=[one.out_of_scope_score for one in answers],
        is_confused=[one.is_confused for one in answers],
        labels=list(labels),
        out_of_scope=OUT_OF_SCOPE,
        bins=ECE_BINS,
        in_scope_accuracy=IN_SCOPE_KEPT,
    )
    intents, confusions = found.pop("intents"), found.pop("confusions")
    reliability = found.pop("reliability")
    return Scores(
        **_rounded(found),
        intents={label: IntentScore(**_rounded(one)) for label, one in intents.items()},
        confusions=tuple(Confusion(**one) for one in confusions),
        reliability=tuple(ReliabilityBin(**_rounded(one)) for one in reliability),
    )


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value
        for name, value in figures.items()
    }


@cache
def _metrics() -> Any:
    """Load the metric module, once a process.

    The library copies it into a cache below the user's home and imports it there. Here the cache
    is a folder of this process alone that goes as soon as the module is loaded: two processes
    never meet in it, and nothing is left behind.
    """
    # Seconds: transformers comes with it, and most who import this file ask no metric.
    import evaluate

    with tempfile.TemporaryDirectory(prefix="hub-metrics-") as folder:
        evaluate.config.HF_MODULES_CACHE = Path(folder)
        metric = evaluate.load(
            str(_METRICS), module_type="metric", cache_dir=folder, keep_in_memory=True
        )
        with suppress(ValueError):
            sys.path.remove(folder)
    return metric
