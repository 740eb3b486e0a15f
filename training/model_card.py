"""The model card: one HTML page that says what a version is, how good, and beside what.

It goes into the version's folder and stays there, so it quotes no test query, which may be a
person's: only golden queries, which are the project's own, appear by their words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pages.page import render, write_page
from store.registry import Manifest
from training.gate import Evidence, GateDecision, Judged
from training.label_gate import LabelDecision
from training.model_card_charts import (
    confusion_matrix,
    curve_charts,
    interval_chart,
    reliability_chart,
)
from training.significance import Significance

_NOT_KNOWN: Final = "–"
_PAIRS_SHOWN: Final = 12
_TEMPLATE: Final = Path(__file__).with_name("model_card.html")


@dataclass(frozen=True, slots=True)
class Card:
    """What a card tells. None where there is nothing: no champion before, no gate, no labels.

    The manifests carry the metrics that training/evaluate.py returns. `evidence` is what the gate
    saw; its golden set is where changed answers are found. `champion_on_same_test` says that the
    champion's metrics were measured on the candidate's test set, not on its own.
    """

    candidate: Manifest
    champion: Manifest | None = None
    gate: GateDecision | None = None
    evidence: Evidence | None = None
    significance: Significance | None = None
    labels: LabelDecision | None = None
    champion_on_same_test: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure that versions are compared by: where it stands, how it reads, which way is good.

    `unit` is "share" (shown in percent), "share3" (three decimals), "ms", "bytes" or "count";
    `higher_is` is "better", "worse" or "neither".
    """

    title: str
    path: tuple[str, ...]
    unit: str
    higher_is: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of two versions side by side, in words; `verdict` is better, worse, same or empty."""

    title: str
    candidate: str
    champion: str
    change: str = ""
    verdict: str = ""


MEASURES: Final = (
    Measure("Test queries", ("test", "examples"), "count", "neither"),
    Measure("Accuracy", ("test", "accuracy"), "share", "better"),
    Measure("Macro F1", ("test", "macro_f1"), "share3", "better"),
    Measure("Calibration error (ECE)", ("test", "ece"), "share3", "worse"),
    Measure("Out-of-scope recall", ("test", "out_of_scope_recall"), "share", "better"),
    Measure("Out-of-scope AUROC", ("test", "out_of_scope_auroc"), "share3", "better"),
    Measure("Out-of-scope flagged as unsure", ("test", "out_of_scope_flagged"), "share", "better"),
    Measure("In-scope flagged as unsure", ("test", "in_scope_confused"), "share", "worse"),
    Measure("Latency p50, one query", ("latency_ms", "p50"), "ms", "worse"),
    Measure("Latency p95, one query", ("latency_ms", "p95"), "ms", "worse"),
    Measure("Resident memory", ("memory_bytes",), "bytes", "worse"),
    Measure("Size of the served file", ("served_bytes",), "bytes", "worse"),
)  # fmt: skip
TILES: Final = ("Accuracy", "Macro F1", "Calibration error (ECE)", "Out-of-scope recall",
                "Latency p95, one query", "Resident memory")  # fmt: skip


def write_card(file: Path, *, card: Card) -> None:
    """Write the card as one page that fetches nothing. Every text is escaped. Raises OSError."""
    write_page(file, page(card))


def page(card: Card) -> str:
    """Return the card as HTML."""
    metrics = card.candidate.metrics
    before = card.champion.metrics if card.champion else {}
    test = metrics.get("test") or {}
    epochs = _at(metrics, ("training", "epochs")) or ()
    compared = [compare(one, metrics, before) for one in MEASURES]
    golden = card.evidence.golden if card.evidence else ()
    return render(
        _TEMPLATE,
        card=card,
        name=card.candidate.name or card.candidate.kind,
        champion_name=(card.champion.name or card.champion.kind) if card.champion else None,
        tiles=[one for one in compared if one.title in TILES],
        compared=[*_previous_test(card.evidence), *compared],
        interval=interval_chart(card.significance) if card.significance else None,
        golden=golden,
        counted_golden=metrics.get("golden"),
        golden_right=sum(one.candidate_is_right for one in golden),
        golden_changed=changed_golden(golden) if card.champion else [],
        reliability=_reliability(test, before.get("test") or {}),
        matrix=confusion_matrix(test) if "confusions" in test else None,
        pairs=test.get("confusions", ())[:_PAIRS_SHOWN],
        intents=_intents(test, before.get("test") or {}),
        invariance=_invariance(metrics),
        curves=curve_charts(epochs) if epochs else (),
        best_epoch=_at(metrics, ("training", "best_epoch")),
        most_labels=max([1, *card.labels.coverage.values()]) if card.labels else 1,
        facts=_facts(card.candidate),
        settings=sorted((_at(metrics, ("training", "config")) or {}).items()),
    )


def changed_golden(golden: Sequence[Judged]) -> list[Judged]:
    """Return the golden queries that the two versions answer differently, lost ones first."""
    changed = [one for one in golden if one.champion != one.candidate]
    return sorted(changed, key=lambda one: one.candidate_is_right)


def compare(
    measure: Measure, candidate: Mapping[str, Any], champion: Mapping[str, Any]
) -> Compared:
    """Return the row of one measure; a figure that an older version never had is left open."""
    now, was = _at(candidate, measure.path), _at(champion, measure.path)
    row = Compared(measure.title, _worded(now, measure.unit), _worded(was, measure.unit))
    if now is None or was is None or measure.higher_is == "neither":
        return row
    change = _change(now - was, measure.unit)
    if _worded(now, measure.unit) == _worded(was, measure.unit):
        return Compared(row.title, row.candidate, row.champion, "", "same")
    is_better = now > was if measure.higher_is == "better" else now < was
    return Compared(
        row.title, row.candidate, row.champion, change, "better" if is_better else "worse"
    )


def _previous_test(evidence: Evidence | None) -> list[Compared]:
    if evidence is None or not evidence.previous_test:
        return []
    items = evidence.previous_test
    before = sum(one.champion_is_right for one in items)
    after = sum(one.candidate_is_right for one in items)
    now, was = (f"{right} of {len(items)} ({right / len(items):.1%})" for right in (after, before))
    verdict = "same" if after == before else "better" if after > before else "worse"
    change = f"{_signed(after - before, '+d')} queries" if after != before else ""
    return [Compared("Right on the previous test set", now, was, change, verdict)]


def _reliability(test: Mapping[str, Any], before: Mapping[str, Any]) -> Any:
    if not test.get("reliability"):
        return None
    return reliability_chart(test["reliability"], champion=before.get("reliability", ()))


def _intents(test: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each intent's scores, the champion's beside them, the hardest first."""
    old = before.get("intents", {})
    rows = [
        {
            "intent": intent,
            "champion_f1": old[intent]["f1"] if intent in old else None,
            "change": one["f1"] - old[intent]["f1"] if intent in old else None,
            **one,
        }
        for intent, one in test.get("intents", {}).items()
    ]
    return sorted(rows, key=lambda row: (not row["examples"], row["f1"]))


def _invariance(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "check": check,
            "queries": one["queries"],
            "kept": one["kept"],
            "share": one["kept"] / one["queries"] if one["queries"] else None,
            "commonest": one["changed"][:3],
        }
        for check, one in (metrics.get("invariance") or {}).items()
    ]


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what the version is made of, as names and words."""
    return [
        ("made", f"{manifest.created_at:%Y-%m-%d %H:%M} UTC"),
        ("backbone", manifest.backbone),
        *((f"data: {name}", _said(value)) for name, value in manifest.dataset.items()),
        *((f"split: {name}", _said(value)) for name, value in manifest.split.items()),
        ("intents", str(len(manifest.labels))),
        ("temperature", f"{manifest.temperature:.4g}"),
        ("seed", str(manifest.seed)),
        ("recipe", manifest.recipe),
        ("code", manifest.code_commit),
    ]


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_said(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _at(metrics: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = metrics
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _worded(value: float | None, unit: str) -> str:
    if value is None:
        return _NOT_KNOWN
    return {
        "share": f"{value:.1%}",
        "share3": f"{value:.3f}",
        "ms": f"{value:.1f} ms",
        "bytes": f"{value / 2**20:.0f} MiB",
        "count": f"{value:,}",
    }[unit]


def _change(change: float, unit: str) -> str:
    if unit == "share":
        return f"{_signed(100 * change, '+.1f')} points"
    return f"{'+' if change > 0 else '−'}{_worded(abs(change), unit)}"


def _signed(value: float, form: str) -> str:
    """Return a number with a sign that is as wide as the other."""
    return format(value, form).replace("-", "−")
