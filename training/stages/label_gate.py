"""Label gate: are there enough verified labels, and enough that the champion does not know?

Reads the snapshot; writes `counted.jsonl`, the labels that count, each question once, and
label_gate.json. Exit status 3 while it is closed.
"""

import json
import sys
from collections.abc import Collection, Sequence

from contracts.records import VerifiedLabel
from contracts.settings import Settings
from contracts.text import digest
from store.artifacts import open_store
from store.registry import Registry
from training.examples import Example, read_labels, write_examples
from training.label_gate import LabelDecision, decide_labels
from training.lineage import read_retired, renamed, used_by
from training.stages.run import Exit, GateClosed, Report, RunFolder, run_alone
from training.stages.snapshot import read_frozen

COUNTED = "counted.jsonl"


def label_gate(run: RunFolder, settings: Settings, report: Report) -> None:
    """Let pass what is enough. Raises GateClosed, after the artifact is written."""
    order = run.order
    if order.dataset is not None:
        run.write("label_gate", {"passed": True, "reasons": [], "counted": None})
        report("label gate: a file is no reviewer; its candidate is never promoted by itself")
        return
    registry = Registry(open_store(settings.artifacts_root))
    decision = decide_for(
        read_frozen(run),
        settings=settings,
        used=used_by(registry, order.champion, cache_dir=settings.cache_dir),
        least_new=settings.retrain_min_new,
    )
    write_examples(
        run.path / COUNTED, [Example(one.query_text, one.intent) for one in decision.counted]
    )
    run.write("label_gate", _artifact(decision, settings=settings))
    report(
        f"label gate: {len(decision.counted):,} verified labels count, {decision.new:,} of them"
        f" new to {order.champion or 'the first version'}"
    )
    bare = [intent for intent, count in decision.coverage.items() if not count]
    if bare and decision.counted:
        report(f"label gate: no label of {', '.join(bare)}")
    if not decision.passed:
        raise GateClosed(Exit.NOT_ENOUGH_LABELS, decision.reasons)


def decide_for(
    labels: Sequence[VerifiedLabel], *, settings: Settings, used: Collection[str], least_new: int
) -> LabelDecision:
    """Decide by this hub's intents and settings. `used` holds the digests of texts that are not
    new, of which there must be `least_new` that are."""
    retired = read_retired()
    return decide_labels(
        [renamed(one, retired=retired) for one in labels],
        intents=read_labels(),
        needed=settings.labels_needed,
        used=used,
        least_new=least_new,
        is_demo=settings.demo,
    )


def read_counted(run: RunFolder) -> list[Example]:
    """Return the labels that count."""
    run.read("label_gate")
    rows = (json.loads(line) for line in (run.path / COUNTED).read_text().splitlines())
    return [Example(row["text"], row["intent"]) for row in rows]


def read_decision(run: RunFolder) -> LabelDecision | None:
    """Return what the gate decided, or None for a file, which no gate looked at."""
    artifact = run.read("label_gate")
    if artifact["counted"] is None:
        return None
    counted = {example.digest for example in read_counted(run)}
    return LabelDecision(
        passed=artifact["passed"],
        reasons=tuple(artifact["reasons"]),
        counted=tuple(one for one in read_frozen(run) if digest(one.query_text) in counted),
        new=artifact["new"],
        coverage=artifact["coverage"],
    )


def _artifact(decision: LabelDecision, *, settings: Settings) -> dict[str, object]:
    return {
        "passed": decision.passed,
        "reasons": list(decision.reasons),
        "counted": len(decision.counted),
        "needed": settings.labels_needed + 1,
        "new": decision.new,
        "least_new": settings.retrain_min_new,
        "coverage": decision.coverage,
        "is_demo": settings.demo,
    }


if __name__ == "__main__":
    sys.exit(run_alone(label_gate))
