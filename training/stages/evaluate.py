"""Evaluate: export what would be served, calibrate it, and measure it.

Reads the split and the trained weights; writes the candidate's model.onnx, tokenizer.json,
manifest.json and metrics.json, and evaluate.json.
"""

import json
import sys
from typing import Any

from contracts.settings import Settings
from training.candidate import Making, finish_candidate
from training.config import TrainingConfig
from training.intent_model import read_model
from training.lineage import VERIFIED, read_retired
from training.stages.run import Report, RunFolder, run_alone
from training.stages.split import read_split

REAL, FROM_FILE = "real", "file"


def evaluate(run: RunFolder, settings: Settings, report: Report) -> None:
    """Finish the candidate. Raises ArtifactError for weights that do not fit the labels."""
    sides, labels = read_split(run)
    trained, snapshot, split = run.read("train"), run.read("snapshot"), run.read("split")
    config = TrainingConfig(**trained["config"])
    report("evaluate: int8 ONNX, calibration, scores of what would be served")
    model = read_model(run.candidate / "model.safetensors", labels=len(labels), config=config)
    manifest = finish_candidate(
        run.candidate,
        model=model,
        labels=labels,
        sides=sides,
        making=Making(
            kind=f"{config.backbone}-{FROM_FILE if run.order.dataset else REAL}",
            dataset={
                "source": snapshot["dataset"] or VERIFIED,
                "digest": snapshot["digest"],
                "examples": sum(len(side) for side in sides.values()),
                "taken_at": snapshot["taken_at"],
                "run": run.order.run,
            },
            split={"digest": split["digest"], **split["counts"]},
            recipe=snapshot["digest"],
            config=config,
            training={key: value for key, value in trained.items() if key != "config"},
            retired=read_retired(),
        ),
    )
    (run.candidate / "metrics.json").write_text(json.dumps(manifest.metrics, indent=1) + "\n")
    run.write("evaluate", manifest.metrics)
    report(f"evaluate: {_said(manifest.metrics)}")


def _said(metrics: dict[str, Any]) -> str:
    test, latency = metrics["test"], metrics["latency_ms"]
    return (
        f"{test['accuracy']:.1%} of {test['examples']:,} test queries, macro F1"
        f" {test['macro_f1']:.3f}, ECE {test['ece']:.3f}; {latency['p50']:.1f} ms a query"
        f" (p95 {latency['p95']:.1f}), {metrics['memory_bytes'] / 2**20:.0f} MiB resident,"
        f" {metrics['served_bytes'] / 2**20:.1f} MiB on disk"
    )


if __name__ == "__main__":
    sys.exit(run_alone(evaluate))
