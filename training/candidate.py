"""From queries to a candidate: everything a version holds, in one folder, not yet published."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from contracts.settings import PROJECT
from models.classifier import IntentClassifier
from models.encoder import Encoder
from store.registry import Manifest, ScopeRecord
from training.calibration import fit_calibration
from training.config import TrainingConfig
from training.encoder_start import BACKBONE, start_folder, start_revision
from training.evaluate import evaluate, read_golden
from training.examples import Example, examples_digest, read_examples, read_labels
from training.export import export_classifier
from training.intent_model import IntentModel
from training.sides import write_sides
from training.split import SIDES, Side, split
from training.train import Report, train
from training.vectors import KnownVectors

GOLDEN_FILE: Final = PROJECT / "tests" / "golden_queries.json"
ANSWERS: Final = "test_answers.jsonl"


@dataclass(frozen=True, slots=True)
class Making:
    """How a candidate came about: what its manifest says beside what is measured."""

    kind: str
    dataset: Mapping[str, Any]
    split: Mapping[str, Any]
    recipe: str
    config: TrainingConfig
    training: Mapping[str, Any]
    """`best_epoch`, `epochs`, and whatever else tells of the training."""
    retired: Mapping[str, str | None] = field(default_factory=dict)


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

    `model.safetensors`, `model.onnx`, `tokenizer.json`, `split.json`, the examples of each side
    (test.jsonl is the version's own test set) and `manifest.json`, which is also returned.
    """
    began = time.monotonic()
    labels = read_labels()
    examples = read_examples(queries, labels=labels)
    report(f"split: {len(examples)} queries of {len(labels)} intents")
    vectors = KnownVectors(Encoder(encoder_dir, threads=config.threads), report=report)
    parts = split(examples, labels=labels, encode=vectors.encode)
    for side, intents in parts.missing.items():
        if intents:
            report(f"split: {side} has no example of {', '.join(intents)}")
    trained = train(
        parts.train, validation=parts.validation, labels=labels, config=config, report=report
    )
    report("export: int8 ONNX, calibration, scores of what will be served")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(trained.model.state_dict(), folder / "model.safetensors")
    write_sides(folder, parts, vectors=vectors)
    making = Making(
        kind=kind,
        dataset={
            "digest": examples_digest(examples),
            "source": "synthetic_queries.jsonl",
            "examples": len(examples),
        },
        split={"digest": parts.digest, **parts.counts},
        recipe=recipe,
        config=config,
        training={
            "best_epoch": trained.best_epoch,
            "epochs": [asdict(epoch) for epoch in trained.epochs],
        },
    )
    manifest = finish_candidate(
        folder,
        model=trained.model,
        labels=labels,
        sides={side: parts.side(side) for side in SIDES},
        making=making,
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
    model: IntentModel,
    labels: Sequence[str],
    sides: Mapping[Side, Sequence[Example]],
    making: Making,
) -> Manifest:
    """Export `model` into `folder`, fit its calibration, measure it, write its manifest."""
    export_classifier(model, folder, tokenizer_file=start_folder() / "tokenizer.json")
    manifest = Manifest(
        kind=making.kind,
        labels=tuple(labels),
        temperature=1.0,
        backbone=_backbone_name(making.config),
        dataset=dict(making.dataset),
        split=dict(making.split),
        seed=making.config.seed,
        recipe=making.recipe,
        retired=dict(making.retired),
        code_commit=_code_commit(),
        created_at=datetime.now(UTC),
    )
    _write(folder, manifest)
    classifier = IntentClassifier(folder, threads=making.config.threads)
    validation = sides["validation"]
    calibration = fit_calibration(
        classifier.logits([e.text for e in validation]),
        [classifier.labels.index(e.intent) for e in validation],
        labels=labels,
    )
    scope = calibration.scope
    manifest = manifest.model_copy(
        update={
            "temperature": calibration.temperature,
            "out_of_scope": ScopeRecord(**asdict(scope)) if scope else None,
        }
    )
    _write(folder, manifest)
    is_hub = set(labels) == set(read_labels())
    metrics = evaluate(
        folder,
        test=sides["test"],
        # The golden set speaks of the hub's intents: of a model of others it says nothing.
        golden=read_golden(GOLDEN_FILE) if is_hub else [],
        answers_file=folder / ANSWERS,
    )
    training = {"config": asdict(making.config), **making.training}
    manifest = manifest.model_copy(update={"metrics": metrics | {"training": training}})
    _write(folder, manifest)
    return manifest


def _write(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")


def _backbone_name(config: TrainingConfig) -> str:
    """Return the network and the weights that it began with."""
    began_with = config.pretrained or f"{BACKBONE}@{start_revision()}"
    return began_with if config.backbone == "distilbert" else f"{config.backbone} from {began_with}"


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
