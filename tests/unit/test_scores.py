"""The metric module: every measure against a value that was computed by hand."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.outcome import OUT_OF_SCOPE
from contracts.settings import PROJECT
from training.scores import Answered, Confusion, measure

LABELS = ("library", "dining", OUT_OF_SCOPE)

FIVE = (
    Answered("library", "library", 0.90, 0.05),
    Answered("library", "library", 0.55, 0.20, is_confused=True),
    Answered("dining", "library", 0.95, 0.03),
    Answered(OUT_OF_SCOPE, OUT_OF_SCOPE, 0.90, 0.90, is_confused=True),
    Answered(OUT_OF_SCOPE, "dining", 0.90, 0.10),
)


def sure(confidence: float, *, right: bool, intent: str = "library") -> Answered:
    return Answered(intent, intent if right else "dining", confidence, 0.0)


def near(value: float) -> object:
    return pytest.approx(value, abs=5e-5)


def test_accuracy_and_f1_are_counted_by_hand() -> None:
    found = measure(FIVE, labels=LABELS)
    library, dining, outside = (found.intents[label] for label in LABELS)
    assert (found.examples, found.accuracy) == (5, 0.6)
    assert (library.precision, library.recall, library.f1) == (near(2 / 3), 1.0, near(0.8))
    assert (library.examples, library.right) == (2, 2)
    assert (dining.precision, dining.recall, dining.f1) == (0.0, 0.0, 0.0)
    assert (outside.precision, outside.recall, outside.f1) == (1.0, 0.5, near(2 / 3))
    assert found.macro_f1 == near((0.8 + 0 + 2 / 3) / 3)


def test_an_intent_without_queries_has_no_share_in_the_macro_f1() -> None:
    found = measure(FIVE, labels=(*LABELS, "housing"))
    assert found.intents["housing"].examples == 0
    assert found.macro_f1 == near((0.8 + 0 + 2 / 3) / 3)


def test_what_a_client_sees_as_confused_is_counted_by_side() -> None:
    found = measure(FIVE, labels=LABELS)
    assert (found.out_of_scope_flagged, found.in_scope_confused) == (0.5, near(1 / 3))


def test_out_of_scope_is_measured_by_recall_and_by_order() -> None:
    found = measure(FIVE, labels=LABELS)
    assert found.out_of_scope_recall == 0.5
    # Of six pairs of an outside and an inside query, one stands the wrong way: 0.10 below 0.20.
    assert found.out_of_scope_auroc == near(5 / 6)


def test_confusions_are_named_most_often_first() -> None:
    again = Answered("dining", "library", 0.5, 0.0)
    found = measure([*FIVE, again], labels=LABELS)
    assert found.confusions == (
        Confusion("dining", "library", 2),
        Confusion(OUT_OF_SCOPE, "dining", 1),
    )


@pytest.mark.parametrize(("wrong", "recall"), [(0, 0.75), (1, 0.5), (2, None)])
def test_recall_with_in_scope_accuracy_kept(wrong: int, recall: float | None) -> None:
    # Twenty in scope, scores 0.00 to 0.19: nineteen must stay right, at most one is rejected.
    inside = [
        Answered("library", "dining" if n < wrong else "library", 0.9, n / 100) for n in range(20)
    ]
    outside = [Answered(OUT_OF_SCOPE, "dining", 0.9, score) for score in (0.18, 0.19, 0.5, 0.9)]
    found = measure([*inside, *outside], labels=LABELS)
    assert found.out_of_scope_recall_in_scope_kept == recall


def test_without_queries_on_one_side_nothing_is_said_of_it() -> None:
    inside = measure(FIVE[:3], labels=LABELS)
    assert inside.out_of_scope_auroc is None
    assert inside.out_of_scope_recall is None
    assert inside.out_of_scope_flagged is None
    assert inside.out_of_scope_recall_in_scope_kept is None
    outside = measure(FIVE[3:], labels=LABELS)
    assert outside.in_scope_confused is None
    assert outside.out_of_scope_auroc is None
    assert outside.out_of_scope_recall_in_scope_kept is None


def test_calibration_error_is_counted_by_hand() -> None:
    # Bins of one: 0.55 right; three of 0.90, two of them right; 0.95 wrong.
    assert measure(FIVE, labels=LABELS).ece == near((0.45 + 3 * (0.9 - 2 / 3) + 0.95) / 5)


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    found = measure([sure(0.75, right=n % 4 != 0) for n in range(400)], labels=LABELS)
    assert found.ece == 0.0


def test_a_model_that_is_always_sure_and_half_right_is_off_by_a_half() -> None:
    assert measure([sure(1.0, right=n % 2 == 0) for n in range(300)], labels=LABELS).ece == 0.5


def test_bins_have_equal_mass() -> None:
    # Fifteen bins of two: in each one sure and right, one sure and wrong.
    found = measure([sure(n / 100, right=n % 2 == 0) for n in range(30)], labels=LABELS)
    expected = np.mean([abs((2 * pair * 2 + 1) / 200 - 0.5) for pair in range(15)])
    assert found.ece == near(float(expected))
    assert [one.examples for one in found.reliability] == [2] * 15
    assert (found.reliability[0].low, found.reliability[0].high) == (0.0, 0.01)
    assert (found.reliability[14].confidence, found.reliability[14].accuracy) == (0.285, 0.5)


def test_the_order_of_the_queries_changes_nothing() -> None:
    answers = [sure(0.7 if n % 3 else 0.9, right=n < 40) for n in range(100)]
    assert measure(answers[::-1], labels=LABELS) == measure(answers, labels=LABELS)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        measure([], labels=LABELS)


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_and_named(strange: float) -> None:
    for change in ({"confidence": strange}, {"out_of_scope_score": strange}):
        answers = [*FIVE[:2], replace(FIVE[2], **change)]
        with pytest.raises(ValueError, match="query 2: "):
            measure(answers, labels=LABELS)


def test_the_library_keeps_no_copy_of_the_module() -> None:
    measure(FIVE, labels=LABELS)
    import evaluate

    cache = evaluate.config.HF_MODULES_CACHE
    assert cache.name.startswith("hub-metrics-")
    assert not cache.exists()
    assert str(cache) not in sys.path


@pytest.mark.prove  # seconds: a process of its own imports the library, and transformers with it
def test_measuring_reaches_no_network_and_leaves_nothing_in_the_home(tmp_path: Path) -> None:
    script = """
import socket
def refuse(*_, **__):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
from training.scores import Answered, measure
assert measure([Answered("a", "a", 0.9, 0.1)] * 2, labels=("a", "b")).accuracy == 1
"""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(scratch), "PYTHONPATH": str(PROJECT)}
    subprocess.run(
        [sys.executable, "-c", script], env={"PATH": os.environ["PATH"], **places}, check=True
    )
    assert list(home.rglob("*")) == []
    assert list(scratch.rglob("hub-metrics-*")) == []
