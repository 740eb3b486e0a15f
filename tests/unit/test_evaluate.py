"""A version as it is measured: what a client sees, what it costs, and what is kept of it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from contracts.errors import ArtifactError, DataError
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import IntentProbability, Prediction
from tests.tiny_classifier import make_tiny_classifier
from training.child import StageFailed
from training.evaluate import evaluate, misses, score
from training.examples import Example
from training.resident_memory import measure_resident_bytes

LABELS = ("library", "dining", OUT_OF_SCOPE)
WORDS = {"books": "library", "shelf": "library", "lunch": "dining", "pizza": "dining"}
TEST = (
    Example("shelf", "library"),
    Example("lunch", "dining"),
    Example("books", "dining"),
    Example("quantum", OUT_OF_SCOPE),
)
GOLDEN = (Example("books", "library"), Example("pizza", "library"))


def predicted(intent: str, confidence: float, *, runner_up: float | None = None) -> Prediction:
    other = next(label for label in LABELS if label != intent)
    rest = 1 - confidence if runner_up is None else runner_up
    return Prediction((IntentProbability(intent, confidence), IntentProbability(other, rest)), "v0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("version")
    return make_tiny_classifier(made, words=WORDS, labels=LABELS, otherwise=OUT_OF_SCOPE)


@pytest.fixture(scope="module")
def answers_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers") / "test_answers.jsonl"


@pytest.fixture(scope="module")
def metrics(folder: Path, answers_file: Path) -> dict[str, object]:
    return evaluate(folder, test=TEST, golden=GOLDEN, answers_file=answers_file)


def test_scores_count_what_a_client_sees_as_confused() -> None:
    examples = [
        Example("1", "library"),
        Example("2", "library"),
        Example("3", "dining"),
        Example("4", OUT_OF_SCOPE),
        Example("5", OUT_OF_SCOPE),
    ]
    predictions = [
        predicted("library", 0.9),
        predicted("library", 0.55),  # right, and too unsure to be an answer
        predicted("library", 0.95),
        predicted(OUT_OF_SCOPE, 0.9),
        predicted("dining", 0.9),
    ]
    found = score(predictions, examples, labels=LABELS)
    assert found.accuracy == 0.6
    assert found.in_scope_confused == pytest.approx(1 / 3, abs=1e-4)
    assert found.out_of_scope_flagged == 0.5
    # What is not among the alternatives counts as 0: so one stranger looks like all others.
    assert found.out_of_scope_auroc == 0.75


def test_without_an_out_of_scope_intent_doubt_tells_who_is_outside() -> None:
    examples = [Example("1", "library"), Example("2", OUT_OF_SCOPE), Example("3", "dining")]
    predictions = [predicted("library", 0.9), predicted("dining", 0.6), predicted("dining", 0.5)]
    assert score(predictions, examples, labels=("library", "dining")).out_of_scope_auroc == 0.5


def test_misses_are_listed_surest_first() -> None:
    examples = [Example("a", "dining"), Example("b", "dining"), Example("c", "dining")]
    predictions = [predicted("library", 0.5), predicted("dining", 0.9), predicted("library", 0.8)]
    assert [miss.text for miss in misses(predictions, examples)] == ["c", "a"]


def test_a_version_is_measured_as_it_is_served(metrics: dict[str, object], folder: Path) -> None:
    test, golden = metrics["test"], metrics["golden"]
    assert test["accuracy"] == 0.75
    assert test["confusions"] == ({"intent": "dining", "given": "library", "examples": 1},)
    assert test["out_of_scope_auroc"] == 1.0
    assert (golden["queries"], golden["right"], golden["missed"]) == (2, 1, ["pizza"])
    assert metrics["served_bytes"] == (folder / "model.onnx").stat().st_size
    assert 0 < metrics["latency_ms"]["p50"] <= metrics["latency_ms"]["p95"]


def test_memory_is_that_of_a_process_that_holds_the_model_alone(metrics: dict[str, object]) -> None:
    # Python, NumPy and ONNX Runtime, and a model of some bytes: torch or Ray would be far more.
    assert 20 * 2**20 < metrics["memory_bytes"] < 200 * 2**20


def test_invariance_counts_what_stays_and_what_it_becomes(metrics: dict[str, object]) -> None:
    typos, case, fillers = metrics["invariance"].values()
    # A typo makes a known word an unknown one; the stranger stays one.
    assert (typos["queries"], typos["kept"]) == (4, 1)
    assert typos["changed"][0] == {"intent": "library", "given": OUT_OF_SCOPE, "examples": 2}
    assert (case["queries"], case["kept"]) == (4, 1)
    assert (fillers["queries"], fillers["kept"]) == (4, 4)


def test_what_is_kept_for_ever_quotes_no_test_query(metrics: dict[str, object]) -> None:
    kept = json.dumps({name: one for name, one in metrics.items() if name != "golden"})
    assert not [one.text for one in TEST if one.text in kept]


def test_every_answer_is_written_beside_its_text(
    metrics: dict[str, object], answers_file: Path
) -> None:
    assert metrics
    rows = [json.loads(line) for line in answers_file.read_text().splitlines()]
    assert [row["text"] for row in rows] == [example.text for example in TEST]
    assert [row["given"] for row in rows] == ["library", "dining", "library", OUT_OF_SCOPE]
    assert rows[0]["changed"]["typos"]["given"] == OUT_OF_SCOPE
    assert rows[3]["changed"] == {}


def test_figures_are_the_same_when_measured_again_in_another_order(
    metrics: dict[str, object], folder: Path
) -> None:
    backwards = evaluate(folder, test=TEST[::-1])
    assert backwards["test"] == metrics["test"]
    assert backwards["invariance"] == metrics["invariance"]


def test_without_test_queries_nothing_is_measured(folder: Path) -> None:
    with pytest.raises(DataError, match="The test set is empty"):
        evaluate(folder, test=())


def test_a_version_that_gives_no_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    graph = onnx.load(str(tmp_path / "model.onnx"))
    table = numpy_helper.to_array(graph.graph.initializer[0]).copy()
    table[1:] = np.nan  # only words that the pass at its opening does not see
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save(graph, str(tmp_path / "model.onnx"))
    with pytest.raises(ArtifactError, match="not a number"):
        evaluate(tmp_path, test=TEST)


def test_the_memory_of_a_version_that_cannot_be_loaded_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(StageFailed):
        measure_resident_bytes(tmp_path)
