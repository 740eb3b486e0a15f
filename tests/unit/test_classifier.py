"""The first version as served: int8, calibrated, the same for everybody."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ArtifactError
from contracts.outcome import OUT_OF_SCOPE
from models.classifier import IntentClassifier
from training.evaluate import margins, read_golden
from training.examples import read_labels

GOLDEN = read_golden(Path(__file__).resolve().parent.parent / "golden_queries.json")
LEAST_MARGIN = 0.05
"""Confidence by which a mandatory intent leads the next: the gate must not be a coin."""


def test_all_golden_intents_lead_with_a_margin(classifier: IntentClassifier) -> None:
    found = margins(classifier, GOLDEN)
    close = [
        (example.text, round(margin, 3))
        for example, margin in zip(GOLDEN, found, strict=True)
        if margin < LEAST_MARGIN
    ]
    assert close == []


def test_it_gives_the_three_likeliest_intents_best_first(classifier: IntentClassifier) -> None:
    (prediction,) = classifier.predict(["where can i get a flu shot"])
    confidences = [alternative.confidence for alternative in prediction.alternatives]
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)
    assert 0 <= sum(confidences) <= 1.0002
    assert prediction.intent == "health_services"
    assert prediction.model_version == classifier.version


def test_its_labels_are_the_projects_intents(classifier: IntentClassifier) -> None:
    assert classifier.labels == read_labels()
    assert OUT_OF_SCOPE in classifier.labels


def test_nothing_to_predict_is_no_prediction(classifier: IntentClassifier) -> None:
    assert classifier.predict([]) == []


def test_batch_mates_hardly_change_an_answer(classifier: IntentClassifier) -> None:
    texts = [example.text for example in GOLDEN]
    alone = [classifier.predict([text])[0] for text in texts]
    together = classifier.predict(texts)
    assert [one.intent for one in alone] == [one.intent for one in together]
    gaps = [abs(a.confidence - b.confidence) for a, b in zip(alone, together, strict=True)]
    assert float(np.mean(gaps)) < 0.02


@pytest.mark.parametrize("text", ["👋🏽", "مرحبا", "a" * 2_000, "\u200b", "<b>'; DROP TABLE x;--"])
def test_any_text_gets_finite_confidences(classifier: IntentClassifier, text: str) -> None:
    (prediction,) = classifier.predict([text])
    assert all(0 <= alternative.confidence <= 1 for alternative in prediction.alternatives)


def test_labels_that_do_not_fit_the_graph_are_refused(
    champion_folder: Path, tmp_path: Path
) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(champion_folder / name)
    shutil.copyfile(champion_folder / "manifest.json", tmp_path / "manifest.json")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["labels"].append("one_too_many")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="22 scores for 23 labels"):
        IntentClassifier(tmp_path)
