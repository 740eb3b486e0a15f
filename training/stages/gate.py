"""Regression gate: is the candidate as good as the champion, on the very same queries?

Reads the evaluated candidate and the champion; writes gate.json and the candidate's model card.
It never stops the chain by itself: a candidate that is stopped is published, too, with its reasons,
so that it can be looked at; publish then ends the run.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from contracts.settings import Settings
from models.classifier import IntentClassifier
from store.artifacts import open_store
from store.registry import SERVED_FILES, Manifest, Registry
from training.candidate import GOLDEN_FILE
from training.comparison import compare_versions
from training.evaluate import read_golden, score
from training.examples import Example, read_labels
from training.gate import Budget, Evidence, GateDecision, decide
from training.lineage import carried_over, examples_of, read_retired
from training.model_card import Card, write_card
from training.significance import Significance, compare
from training.stages.label_gate import read_decision
from training.stages.run import Report, RunFolder, run_alone
from training.stages.split import read_split

SLOWER: Final = 1.5
"""A candidate may take so many times the champion's p95, measured in turns, on a busy machine."""


def gate(run: RunFolder, settings: Settings, report: Report) -> None:
    """Decide, and write the card. Raises ArtifactError for a version that cannot be read."""
    order = run.order
    candidate = Manifest.model_validate_json((run.candidate / "manifest.json").read_bytes())
    if order.champion is None or set(candidate.labels) != set(read_labels()):
        decision = GateDecision(
            passed=False, reasons=("it knows other intents than the hub, and is never served",)
        )
        write_card(run.candidate / "model_card.html", card=Card(candidate=candidate, gate=decision))
        run.write("gate", asdict(decision))
        report("gate: other intents than the hub's, so there is nothing to compare with")
        return
    registry = Registry(open_store(settings.artifacts_root))
    cache, retired = settings.cache_dir, read_retired()
    champion = registry.manifest(order.champion)
    folder = registry.fetch(order.champion, cache_dir=cache, only=SERVED_FILES)
    theirs = IntentClassifier(folder, threads=1)
    ours = IntentClassifier(run.candidate, threads=1)
    previous = carried_over(
        examples_of(registry, order.champion, cache_dir=cache)["test"],
        labels=candidate.labels,
        retired=retired,
    )
    report(f"gate: {order.champion} and the candidate on {len(previous):,} test queries")
    judged = compare_versions(previous, champion=theirs, candidate=ours, retired=retired)
    golden = compare_versions(
        read_golden(GOLDEN_FILE), champion=theirs, candidate=ours, retired=retired, one_by_one=True
    )
    before_ms, after_ms = _p95_ms(theirs, ours, previous[:200])
    evidence = Evidence(
        previous_test=judged,
        golden=golden,
        ece=candidate.metrics["test"]["ece"],
        p95_ms=after_ms,
        memory_bytes=candidate.metrics["memory_bytes"],
    )
    budget = Budget()
    decision = decide(evidence, budget=Budget(p95_ms=max(budget.p95_ms, SLOWER * before_ms)))
    significance = compare(judged)
    own_test = read_split(run)[0]["test"]
    on_same = champion.model_copy(
        update={"metrics": {**champion.metrics, "test": _on(own_test, theirs)}}
    )
    write_card(
        run.candidate / "model_card.html",
        card=Card(
            candidate=candidate,
            champion=on_same,
            gate=decision,
            evidence=evidence,
            significance=significance,
            labels=read_decision(run),
            champion_on_same_test=True,
        ),
    )
    run.write(
        "gate",
        {
            **asdict(decision),
            "previous_test": {
                "items": len(judged),
                "champion_right": sum(one.champion_is_right for one in judged),
                "candidate_right": sum(one.candidate_is_right for one in judged),
            },
            "own_test": {
                "items": len(own_test),
                "champion": on_same.metrics["test"]["accuracy"],
                "candidate": candidate.metrics["test"]["accuracy"],
            },
            "golden": {
                "queries": len(golden),
                "right": sum(one.candidate_is_right for one in golden),
            },
            "p95_ms": {"champion": before_ms, "candidate": after_ms},
            "significance": {
                **asdict(significance),
                "resolves_the_limit": significance.resolves_the_limit,
            },
        },
    )
    for line in _said(decision, significance):
        report(f"gate: {line}")


def _said(decision: GateDecision, significance: Significance) -> list[str]:
    said = (
        f"{significance.difference:+.2%} on {significance.items:,} items"
        f" (95 % interval {significance.low:+.2%} to {significance.high:+.2%}, McNemar p ="
        f" {significance.p_value:.3f})"
    )
    if not significance.resolves_the_limit:
        said += "; the set is too small to tell 2 points from chance"
    return [said, "passed" if decision.passed else "closed", *decision.reasons]


def _on(test: Sequence[Example], classifier: IntentClassifier) -> dict[str, object]:
    """Score the champion on the candidate's test set; what it costs is known of it already."""
    predictions = [classifier.predict([one.text], top=len(classifier.labels))[0] for one in test]
    return asdict(score(predictions, test, labels=classifier.labels))


def _p95_ms(
    champion: IntentClassifier, candidate: IntentClassifier, examples: Sequence[Example]
) -> tuple[float, float]:
    """Ask both in turns, one query at a time: what else the machine does meets both alike."""
    taken: dict[IntentClassifier, list[float]] = {champion: [], candidate: []}
    for example in examples:
        for classifier, times in taken.items():
            began = time.perf_counter()
            classifier.predict([example.text])
            times.append((time.perf_counter() - began) * 1e3)
    before, after = (round(float(np.percentile(times, 95)), 2) for times in taken.values())
    return before, after


if __name__ == "__main__":
    sys.exit(run_alone(gate))
