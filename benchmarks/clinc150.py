"""The hub's training code on a published set: `python -m benchmarks.clinc150 --data FILE`.

Trains on all of CLINC150 (its data_full.json) with `training.train` from the pretrained start, goes
on from there and blends the two as every retraining does, exports to int8, fits the confidence on
the validation side, and judges what would be served on the test side, beside what others have
published. Training takes some ten minutes of two cores; `--keep DIR` keeps the model there, so that
the next run begins after it. Exit status 1 when a bar is missed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.clinc150_tables import Judgement, bar_table, bars, comparison_table
from contracts.errors import HubError
from contracts.outcome import OUT_OF_SCOPE, decide
from models.classifier import IntentClassifier
from store.registry import Manifest, ScopeRecord
from training.calibration import fit_calibration
from training.child import run_stage
from training.clinc150_json import Clinc150, read_clinc150
from training.config import TrainingConfig
from training.encoder_start import BACKBONE, start_revision
from training.examples import Example, examples_digest
from training.scores import Answered, measure

CONFIG: Final = TrainingConfig(
    epochs=6, patience_epochs=6, learning_rate=2e-4, head_learning_rate=1e-3, frozen_layers=0
)
"""150 intents of a hundred queries each want the whole encoder, and more steps than the hub's."""

GOING_ON: Final = replace(CONFIG, epochs=4, patience_epochs=4)
"""How the second half goes on from the first, before the two are blended."""

Report = Callable[[str], None]


def make_model(folder: Path, *, data: Path, seed: int, report: Report) -> None:
    """Train and export into `folder`, unless it holds the model of this recipe already.

    Raises HubError for a folder that holds another's.
    """
    made = folder / "training.json"
    recipe = {
        "config": asdict(replace(CONFIG, seed=seed)),
        "going_on": asdict(replace(GOING_ON, seed=seed)),
    }
    if not made.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        given = {"data": str(data.resolve()), **recipe}
        arguments = [str(folder.resolve()), json.dumps(given)]
        run_stage("benchmarks.clinc150_training", arguments, report=report)
    elif not recipe.items() <= json.loads(made.read_text()).items():
        raise HubError(f"{folder} holds a model of another seed or recipe: name another folder.")
    else:
        report(f"the model in {folder} is of this seed and recipe: not trained again")


def calibrate(folder: Path, collection: Clinc150, *, config: TrainingConfig) -> IntentClassifier:
    """Fit the confidence of the artifact in `folder` on the validation side, and open it so."""
    manifest = Manifest(
        kind="clinc150",
        labels=collection.labels,
        temperature=1.0,
        backbone=f"{BACKBONE}@{start_revision()}",
        dataset={"digest": examples_digest(collection.train), "examples": len(collection.train)},
        split={},
        seed=config.seed,
        recipe="benchmarks.clinc150",
        created_at=datetime.now(UTC),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    classifier = IntentClassifier(folder, threads=config.threads)
    fitted = fit_calibration(
        classifier.logits([e.text for e in collection.validation]),
        [classifier.labels.index(e.intent) for e in collection.validation],
        labels=classifier.labels,
    )
    scope = ScopeRecord(**asdict(fitted.scope)) if fitted.scope else None
    changes = {"temperature": fitted.temperature, "out_of_scope": scope}
    (folder / "manifest.json").write_text(manifest.model_copy(update=changes).model_dump_json())
    return IntentClassifier(folder, threads=config.threads)


def judge(classifier: IntentClassifier, examples: Sequence[Example]) -> Judgement:
    """Ask every example, and compare what is served, and what would be without rejection."""
    probabilities = classifier.finish(classifier.logits([e.text for e in examples]))
    outside, labels = classifier.labels.index(OUT_OF_SCOPE), classifier.labels
    inside = probabilities.copy()
    inside[:, outside] = -1.0
    served = _answers(examples, of=probabilities, scores=probabilities[:, outside], labels=labels)
    kept = _answers(examples, of=inside, scores=probabilities[:, outside], labels=labels)
    return Judgement(
        inside=measure([one for one in served if one.intent != OUT_OF_SCOPE], labels=labels),
        everything=measure(served, labels=labels),
        kept=measure(kept, labels=labels),
    )


def _answers(
    examples: Sequence[Example],
    *,
    of: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: Sequence[str],
) -> list[Answered]:
    """Return the likeliest intent of each row of `of`, with the row's out-of-scope score."""
    found = []
    for example, row, score in zip(examples, of, scores, strict=True):
        second, first = np.argsort(row, kind="stable")[-2:]
        confidence, runner_up = float(row[first]), float(row[second])
        outcome, _ = decide(labels[first], confidence=confidence, runner_up=runner_up)
        found.append(
            Answered(
                intent=example.intent,
                given=labels[first],
                confidence=confidence,
                out_of_scope_score=float(score),
                is_confused=outcome != "answered",
            )
        )
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Train, measure, print the tables, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="data_full.json")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the model there")
    parser.add_argument("--seed", type=int, default=CONFIG.seed)
    arguments, console = parser.parse_args(given), Console(highlight=False)
    config, began = replace(CONFIG, seed=arguments.seed), time.monotonic()

    def report(line: str) -> None:
        console.print(line, markup=False)

    with tempfile.TemporaryDirectory(prefix="hub-clinc150-") as scratch:
        folder = arguments.keep or Path(scratch)
        try:
            collection = read_clinc150(arguments.data)
            make_model(folder, data=arguments.data, seed=arguments.seed, report=report)
            found: dict[str, Judgement] = {}
            for name in ("int8", "fp32"):
                report(f"{name}: fitting the confidence on the validation side, judging the test's")
                classifier = calibrate(folder / name, collection, config=config)
                report(f"{name}: {classifier.calibration}")
                found[name] = judge(classifier, collection.test)
        except (HubError, FileNotFoundError) as error:
            console.print(str(error), markup=False)
            return 1
        made = json.loads((folder / "training.json").read_text())
    console.print(comparison_table(**found))
    reached = bars(**found)
    console.print(bar_table(reached))
    everything = found["int8"].everything
    console.print(
        f"At the hub's thresholds {everything.out_of_scope_flagged or 0:.1%} of out-of-scope and"
        f" {everything.in_scope_confused or 0:.1%} of in-scope queries are not answered. ECE over"
        f" both, out of scope six times as frequent as in validation: {everything.ece:.3f}."
    )
    console.print(
        f"Seed {config.seed}, {made['seconds'] / 60:.0f} min of training on {config.threads}"
        f" threads, epochs {made['best_epochs']} of {[CONFIG.epochs, GOING_ON.epochs]} and"
        f" {made['blend']['share']:.0%} of the way between them by validation loss;"
        f" {(time.monotonic() - began) / 60:.0f} min in all."
    )
    return 0 if all(bar.holds for bar in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
