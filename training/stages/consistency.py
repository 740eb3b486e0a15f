"""Consistency: do the new labels fit each other and what is known? A poisoned set ends here.

Reads the labels that count; writes consistency.json, and `suspects.jsonl` for reviewers to look at
again. Exit status 4 when it is closed.
"""

import json
import sys
from dataclasses import asdict

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from training.examples import read_labels
from training.label_consistency import check_consistency
from training.lineage import carried_over, examples_of, read_retired
from training.split import SIDES
from training.stages.label_gate import read_counted
from training.stages.run import Exit, GateClosed, Report, RunFolder, run_alone
from training.stages.vectors import open_vectors
from training.vectors import FILE

SUSPECTS = "suspects.jsonl"


def consistency(run: RunFolder, settings: Settings, report: Report) -> None:
    """Compare the labels with cross-validated predictions. Raises GateClosed."""
    order = run.order
    if order.dataset is not None or order.champion is None:
        run.write("consistency", {"passed": True, "reasons": [], "judged": 0})
        return
    registry = Registry(open_store(settings.artifacts_root))
    sides = examples_of(registry, order.champion, cache_dir=settings.cache_dir)
    vectors = open_vectors(run, settings, report=report)
    labels, retired = read_labels(), read_retired()
    train, validation, test = (
        carried_over(sides[side], labels=labels, retired=retired) for side in SIDES
    )
    decision = check_consistency(
        read_counted(run),
        earlier=train,
        known=[*validation, *test],
        encode=vectors.encode,
    )
    vectors.write(run.path / FILE)
    with (run.path / SUSPECTS).open("w") as file:
        for suspect in decision.suspects:
            file.write(json.dumps(asdict(suspect), ensure_ascii=False) + "\n")
    run.write("consistency", decision.artifact())
    report(
        f"consistency: about {decision.noise_share:.1%} of {decision.judged:,} labels seem wrong;"
        f" {len(decision.suspects)} to look at again in {SUSPECTS}"
    )
    if not decision.passed:
        raise GateClosed(Exit.LABELS_INCONSISTENT, decision.reasons)


if __name__ == "__main__":
    sys.exit(run_alone(consistency))
