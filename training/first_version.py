"""Make the first version from the project's own queries: `python -m training.first_version`.

split → train → export → calibrate → evaluate → publish → champion. Cached by its recipe, a hash
of the data and of the code that decides: the same recipe is trained once in a home.
"""

import ast
import fcntl
import getpass
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from contracts.settings import PROJECT, Settings
from models.encoder import Encoder
from store.artifacts import open_store
from store.registry import Champion, Manifest, Registry
from training.encoder_start import BACKBONE, start_folder, start_revision
from training.examples import (
    INTENTS_FILE,
    QUERIES_FILE,
    Example,
    examples_digest,
    read_examples,
    read_labels,
    write_examples,
)
from training.export_encoder import export_encoder
from training.split import Split, split
from training.train import Report, Trained, TrainingConfig, train

KIND: Final = "distilbert-synthetic"
GOLDEN_FILE: Final = PROJECT / "tests" / "golden_queries.json"

_DECIDING_CODE: Final = (
    "contracts/text.py",
    "models/classifier.py",
    "models/session.py",
    "store/redaction.py",
    "training/encoder_start.py",
    "training/evaluate.py",
    "training/examples.py",
    "training/export.py",
    "training/first_version.py",
    "training/intent_model.py",
    "training/split.py",
    "training/train.py",
)
_DECIDING_PACKAGES: Final = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers")
_RECIPES_KEPT: Final = 3


def first_recipe(*, queries: Path = QUERIES_FILE, config: TrainingConfig | None = None) -> str:
    """Return the short hash of everything that decides what the first version becomes.

    Comments and formatting of the code do not count.
    """
    total = hashlib.sha256()
    for name in _DECIDING_CODE:
        total.update(ast.dump(ast.parse((PROJECT / name).read_text())).encode())
    for package in _DECIDING_PACKAGES:
        total.update(f"{package}=={importlib.metadata.version(package)}".encode())
    total.update(INTENTS_FILE.read_bytes() + queries.read_bytes() + start_revision().encode())
    total.update(json.dumps(asdict(config or TrainingConfig())).encode())
    return total.hexdigest()[:16]


def make_first_version(
    settings: Settings,
    *,
    cache_dir: Path | None = None,
    queries: Path = QUERIES_FILE,
    config: TrainingConfig | None = None,
    report: Report = print,
) -> str:
    """See that the registry has a champion, and return it.

    Trains when there is none (`v3` in an empty registry), or when the champion is a first
    version of other data or code: then the next number is made and takes over. A champion that
    came from anywhere else is left alone. `cache_dir` (default HOME/cache) keeps trained
    candidates, so that two homes may share one. Raises DataError for bad rows.
    """
    registry = Registry(open_store(settings.artifacts_root))
    config = config or TrainingConfig()
    recipe = first_recipe(queries=queries, config=config)
    cache = (cache_dir or settings.home_dir / "cache") / "first_version"
    with _one_at_a_time(cache):
        champion = registry.champion()
        if champion is not None and not _is_outdated(registry, champion, recipe=recipe):
            report(f"classifier: {champion.version} is the champion already")
            return champion.version
        export_encoder(settings.encoder_dir)
        candidate = cache / recipe
        if not (candidate / "manifest.json").is_file():
            with _appearing(candidate) as draft:
                make_candidate(
                    draft,
                    queries=queries,
                    encoder_dir=settings.encoder_dir,
                    config=config,
                    recipe=recipe,
                    report=report,
                )
            _forget_old(cache)
        version = registry.publish(candidate)
        registry.move_champion(
            version,
            expected=champion,
            who=getpass.getuser(),
            why="first version" if champion is None else "first version of new data or code",
        )
    report(f"classifier: {version}-{KIND} is the champion")
    return version


def make_candidate(
    folder: Path,
    *,
    queries: Path,
    encoder_dir: Path,
    config: TrainingConfig,
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
        folder, trained=trained, parts=parts, examples=examples, config=config, recipe=recipe
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
    recipe: str,
) -> Manifest:
    """Export a trained model into `folder`, fit its temperature, measure it, write its manifest."""
    from safetensors.torch import save_file

    from models.classifier import IntentClassifier
    from training.evaluate import evaluate, fit_temperature, read_golden
    from training.export import export_classifier

    folder.mkdir(parents=True, exist_ok=True)
    save_file(trained.model.state_dict(), folder / "model.safetensors")
    export_classifier(trained.model, folder, tokenizer_file=start_folder() / "tokenizer.json")
    (folder / "split.json").write_text(json.dumps(parts.artifact(), indent=1) + "\n")
    write_examples(folder / "test.jsonl", parts.test)
    manifest = Manifest(
        kind=KIND,
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


def _is_outdated(registry: Registry, champion: Champion, *, recipe: str) -> bool:
    manifest = registry.manifest(champion.version)
    return manifest.kind == KIND and manifest.recipe != recipe


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process train: a second one waits, and finds what the first one made."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a draft folder that becomes `folder` when the block ends well, and goes if not."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
    try:
        yield draft
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _forget_old(cache: Path) -> None:
    made = [folder for folder in cache.iterdir() if (folder / "manifest.json").is_file()]
    made.sort(key=lambda folder: (folder / "manifest.json").stat().st_mtime)
    for folder in made[:-_RECIPES_KEPT]:
        shutil.rmtree(folder)


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
    """Make the first version of the hub's home, with progress on standard output."""
    make_first_version(Settings(), report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
