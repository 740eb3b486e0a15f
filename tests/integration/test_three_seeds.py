"""The gate is not a coin: what is promised of v3 holds whatever the seed. Run by `make prove`."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from models.classifier import IntentClassifier
from training.child import run_stage
from training.config import TrainingConfig
from training.evaluate import Scores, margins, read_golden, score
from training.examples import QUERIES_FILE, Example
from training.first_version import KIND

TESTS = Path(__file__).resolve().parent.parent
SEEDS = (17, 18, 19)
LEAST_MARGIN = 0.05

pytestmark = pytest.mark.prove


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def folder(
    request: pytest.FixtureRequest, hub_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A candidate trained with a seed of its own."""
    made = tmp_path_factory.mktemp("candidate")
    given = {
        "queries": str(QUERIES_FILE),
        "encoder_dir": str(hub_home / "encoder"),
        "config": asdict(replace(TrainingConfig(), seed=request.param)),
        "recipe": "a proof",
        "kind": KIND,
    }
    run_stage("training.candidate", [str(made), json.dumps(given)], report=print)
    return made


def test_all_golden_intents_lead_with_a_margin(folder: Path) -> None:
    golden = read_golden(TESTS / "golden_queries.json")
    found = margins(IntentClassifier(folder, threads=2), golden)
    close = [(e.text, m) for e, m in zip(golden, found, strict=True) if m < LEAST_MARGIN]
    print(f"least margin {min(found):.2f}")
    assert close == []


def test_confidence_is_calibrated_on_its_own_test_set(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    metrics = manifest["metrics"]["test"]
    print(f"test: {metrics['accuracy']:.1%} right, ECE {metrics['ece']:.3f}")
    # With 57 queries a bin, chance alone moves the figure by 0.02: what is served has to keep to
    # the limit, and its brothers to the limit and that.
    assert metrics["ece"] <= (0.05 if manifest["seed"] == SEEDS[0] else 0.07)


def test_unseen_queries_are_answered_and_strangers_are_flagged(folder: Path) -> None:
    rows = (TESTS / "blind_queries.jsonl").read_text().splitlines()
    blind = [Example(**json.loads(row)) for row in rows]
    classifier = IntentClassifier(folder, threads=2)
    predictions = classifier.predict([example.text for example in blind])
    found: Scores = score(predictions, blind, labels=classifier.labels)
    print(
        f"blind: {found.accuracy:.1%} right, {found.out_of_scope_flagged:.1%} of out-of-scope"
        f" flagged, {found.in_scope_confused:.1%} of in-scope confused, ECE {found.ece:.3f}"
    )
    assert found.accuracy >= 0.88
    assert found.out_of_scope_flagged >= 0.80
    assert found.in_scope_confused <= 0.12
