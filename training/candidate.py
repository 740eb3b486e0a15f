"""From queries to a candidate: everything a version holds, in one folder, not yet published."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from safetensors.torch import save_file

from contracts.settings import PROJECT
from models.classifier import IntentClassifier
from models.encoder import Encoder
from store.registry import Manifest
from training.calibration import fit_temperature
from training.config import TrainingConfig
from training.encoder_start import BACKBONE, start_folder, start_revision
from training.evaluate import evaluate, read_golden
from training.examples import Example, examples_digest, read_examples, read_labels, write_examples
from training.export import export_classifier
from training.split import Split, split
from training.train import Report, Trained, train

GOLDEN_FILE: Final = PROJECT / "tests" / "golden_queries.json"


def make_candidate(
    folder: Path,
    *,
    queries: Path,
    encoder_dir: Path,
    config: TrainingConfig,
    kind: str,
    recipe: str,
    report: Report = print,
) -> Manifest:
    """Split, train, export, calibrate and evaluate; leave every artifact in `folder`.

    `model.safetensors`, `model.onnx`, `tokenizer.json`, `split.json`, `test.jsonl` (the version's
    own test set) and `manifest.json`, which is also returned.
    """
    began = time.monotonic()
    labels = read_labels()
    examples = read_examples(queries, labels=labels)
    report(f"split: {len(examples)} queries of {len(labels)} intents")
    encoder = Encoder(encoder_dir, threads=config.threads)
    parts = split(examples, labels=labels, encode=encoder.encode)
    for side, intents in parts.missing.items():
        if intents:
            report(f"split: {side} has no example of {', '.join(intents)}")
    trained = train(
        parts.train, validation=parts.validation, labels=labels, config=config, report=report
    )
    report("export: int8 ONNX, temperature, scores of what will be served")
    manifest = finish_candidate(
        folder,
        trained=trained,
        parts=parts,
        examples=examples,
        config=config,
        kind=kind,
        recipe=recipe,
    )
    test = manifest.metrics["test"]
    report(
        f"evaluate: {test['accuracy']:.1%} of {test['examples']} test queries,"
        f" ECE {test['ece']:.3f}, temperature {manifest.temperature:.2f};"
        f" {time.monotonic() - began:.0f} s in all"
    )
    return manifest


def finish_candidate(
    folder: Path,
    *,
    trained: Trained,
    parts: Split,
    examples: Sequence[Example],
    config: TrainingConfig,
    kind: str,
    recipe: str,
) -> Manifest:
    """Export a trained model into `folder`, fit its temperature, measure it, write its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(trained.model.state_dict(), folder / "model.safetensors")
    export_classifier(trained.model, folder, tokenizer_file=start_folder() / "tokenizer.json")
    (folder / "split.json").write_text(json.dumps(parts.artifact(), indent=1) + "\n")
    write_examples(folder / "test.jsonl", parts.test)
    manifest = Manifest(
        kind=kind,
        labels=trained.labels,
        temperature=1.0,
        backbone=f"{BACKBONE}@{start_revision()}",
        dataset={
            "digest": examples_digest(examples),
            "source": "synthetic_queries.jsonl",
            "examples": len(examples),
        },
        split={"digest": parts.digest, **parts.counts},
        seed=config.seed,
        recipe=recipe,
        code_commit=_code_commit(),
        created_at=datetime.now(UTC),
    )
    _write(folder, manifest)
    classifier = IntentClassifier(folder, threads=config.threads)
    targets = [trained.labels.index(e.intent) for e in parts.validation]
    logits = classifier.logits([e.text for e in parts.validation])
    manifest = manifest.model_copy(update={"temperature": fit_temperature(logits, targets)})
    _write(folder, manifest)
    golden = read_golden(GOLDEN_FILE) if GOLDEN_FILE.is_file() else []
    metrics = evaluate(folder, test=parts.test, golden=golden)
    training = {
        "config": asdict(config),
        "best_epoch": trained.best_epoch,
        "epochs": [asdict(epoch) for epoch in trained.epochs],
    }
    manifest = manifest.model_copy(update={"metrics": metrics | {"training": training}})
    _write(folder, manifest)
    return manifest


def _write(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")


def _code_commit() -> str:
    """Return the checkout's commit, or "unknown" where there is no git or no checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def main() -> None:
    """`python -m training.candidate FOLDER JSON`: the stage that first_version runs."""
    arguments = json.loads(sys.argv[2])
    make_candidate(
        Path(sys.argv[1]),
        queries=Path(arguments["queries"]),
        encoder_dir=Path(arguments["encoder_dir"]),
        config=TrainingConfig(**arguments["config"]),
        kind=arguments["kind"],
        recipe=arguments["recipe"],
    )


if __name__ == "__main__":
    main()
