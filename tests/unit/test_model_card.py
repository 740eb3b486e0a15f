"""The model card: what it says, what it never quotes, and that no text can break it."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from contracts.outcome import OUT_OF_SCOPE
from store.registry import Manifest
from training.gate import Evidence, GateDecision, Judged
from training.label_gate import LabelDecision
from training.model_card import MEASURES, Card, changed_golden, compare, page, write_card
from training.model_card_charts import MOST_IN_MATRIX, confusion_matrix, interval_chart
from training.scores import Answered, measure
from training.significance import Significance
from training.significance import compare as compare_versions

HOSTILE = """<script>alert("x")</script> & 'quoted' </title><img src=x onerror=alert(1)>"""
LABELS = ("library", "dining", OUT_OF_SCOPE)


def metrics_of(labels: tuple[str, ...], *, wrong: int) -> dict[str, Any]:
    """Ten queries an intent; `wrong` of each are taken for the next intent."""
    answers = [
        Answered(
            intent=label,
            given=labels[(place + (n < wrong)) % len(labels)],
            confidence=0.5 + n / 20,
            out_of_scope_score=float(label == OUT_OF_SCOPE),
        )
        for place, label in enumerate(labels)
        for n in range(10)
    ]
    epochs = [
        {"number": n, "train_loss": 1 / n, "validation_loss": 1.2 / n, "validation_accuracy": 0.8}
        for n in (1, 2, 3)
    ]
    return {
        "test": asdict(measure(answers, labels=labels)),
        "invariance": {
            "typos": {
                "queries": 30, "kept": 27,
                "changed": [{"intent": labels[0], "given": labels[1], "examples": 3}],
            },
            "case": {"queries": 0, "kept": 0, "changed": []},
        },
        "latency_ms": {"p50": 2.0, "p95": 4.0 + wrong},
        "memory_bytes": 180 * 2**20,
        "served_bytes": 22 * 2**20,
        "training": {"epochs": epochs, "best_epoch": 3, "config": {"seed": 17, "bf16": None}},
    }  # fmt: skip


def manifest(
    name: str, *, labels: tuple[str, ...] = LABELS, metrics: dict[str, Any] | None = None
) -> Manifest:
    return Manifest(
        kind="distilbert-real",
        name=name,
        labels=labels,
        temperature=0.93,
        backbone="all-MiniLM-L6-v2",
        dataset={"source": "labels", "examples": 8250, "by": {"replayed": 400}},
        split={"train": 6589, "test": 853},
        seed=17,
        recipe="r",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        metrics=metrics if metrics is not None else metrics_of(labels, wrong=1),
    )


def judged(text: str, *, champion: str = "library", candidate: str = "library") -> Judged:
    return Judged(text, "library", champion, candidate)


GOLDEN = (
    judged("won back", champion="dining"),
    judged("kept by both"),
    judged("lost now", candidate="dining"),
    judged("otherwise wrong", champion="dining", candidate=OUT_OF_SCOPE),
)
CARD = Card(
    candidate=manifest("v4-distilbert-real"),
    champion=manifest("v3-distilbert-synthetic", metrics=metrics_of(LABELS, wrong=2)),
    gate=GateDecision(False, ('golden query "lost now": dining, must be library',)),
    evidence=Evidence([judged("a person's query")] * 20, GOLDEN, 0.03, 5.0, 180 * 2**20),
    significance=compare_versions([judged("a person's query")] * 20),
    labels=LabelDecision(True, (), (), 120, {"library": 80, "dining": 40, OUT_OF_SCOPE: 0}),
)


class Elements(HTMLParser):
    """Every start tag with its attributes, and all the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


def row(html: str, title: str) -> str:
    """The words of the table row that this heading leads."""
    start = html.index(f'<th scope="row">{title}</th>')
    words = Elements(html[start : html.index("</tr>", start)]).words
    return " ".join(" ".join(words).split())


def test_versions_stand_side_by_side_and_the_change_is_said_in_words() -> None:
    html = page(CARD)
    assert row(html, "Accuracy") == "Accuracy 90.0% 80.0% +10.0 points, better"
    assert row(html, "Latency p95, one query") == (
        "Latency p95, one query 5.0 ms 6.0 ms −1.0 ms, better"
    )
    assert row(html, "Resident memory") == "Resident memory 180 MiB 180 MiB same"
    assert row(html, "Right on the previous test set") == (
        "Right on the previous test set 20 of 20 (100.0%) 20 of 20 (100.0%) same"
    )


def test_every_reason_of_the_gate_is_given() -> None:
    assert "The regression gate stopped it." in page(CARD)
    assert 'golden query "lost now": dining, must be library' in Elements(page(CARD)).text
    passed = page(replace(CARD, gate=GateDecision(True, ())))
    assert "The regression gate passed it." in passed


def test_every_golden_query_that_changed_is_listed_lost_ones_first() -> None:
    assert [one.text for one in changed_golden(GOLDEN)] == [
        "lost now", "otherwise wrong", "won back",
    ]  # fmt: skip
    text = Elements(page(CARD)).text
    assert "2 of 4 have their mandatory intent." in text
    assert "kept by both" not in text


def test_without_a_gate_the_golden_set_is_told_from_the_metrics() -> None:
    golden = {"queries": 50, "right": 49, "least_margin": -0.1, "missed": ["a missed one"]}
    asked = manifest("v3", metrics={**metrics_of(LABELS, wrong=1), "golden": golden})
    assert "49 of 50 have their mandatory intent." in page(Card(candidate=asked))
    assert "The golden set was not asked." in page(Card(candidate=CARD.candidate))


def test_what_may_be_a_persons_words_is_not_quoted() -> None:
    assert "a person's query" not in Elements(page(CARD)).text


def test_a_first_version_has_a_card_without_a_champion() -> None:
    html = page(Card(candidate=CARD.candidate))
    assert "There was no champion." in html
    assert "No gate was asked." in html
    assert "champion’s F1" not in html


def test_an_older_champion_without_the_newer_figures_leaves_them_open() -> None:
    old = {"test": {"accuracy": 0.8, "ece": 0.03, "intents": {}}, "latency_ms": {}}
    html = page(replace(CARD, champion=manifest("v3", metrics=old)))
    assert row(html, "Accuracy").endswith("better")
    assert row(html, "Resident memory") == "Resident memory 180 MiB –"


def test_a_version_without_any_metrics_still_has_a_card() -> None:
    assert "Nothing was measured." in page(Card(candidate=manifest("v4", metrics={})))


def test_no_text_becomes_markup(tmp_path: Path) -> None:
    labels = ("library", HOSTILE, OUT_OF_SCOPE)
    candidate = manifest(HOSTILE, labels=labels).model_copy(
        update={"dataset": {HOSTILE: HOSTILE}, "backbone": HOSTILE}
    )
    golden = [Judged(HOSTILE, HOSTILE, "library", HOSTILE)]
    card = Card(
        candidate=candidate,
        champion=manifest(HOSTILE, labels=labels, metrics=metrics_of(labels, wrong=3)),
        gate=GateDecision(False, (HOSTILE,)),
        evidence=Evidence([], golden, 0.0, 0.0, 0),
        labels=LabelDecision(False, (HOSTILE,), (), 0, {HOSTILE: 3}),
    )
    write_card(tmp_path / "card.html", card=card)
    found = Elements((tmp_path / "card.html").read_text())
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in found.tags}
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert found.text.count(HOSTILE) > 10


def test_the_page_fetches_nothing_and_every_plot_and_heading_can_be_heard() -> None:
    found = Elements(page(CARD))
    addresses = [
        value
        for _, attrs in found.tags
        for name, value in attrs.items()
        if name in {"src", "href", "action", "srcset"}
    ]
    assert addresses == []
    assert all(
        attrs.get("role") == "img" and attrs.get("aria-label") for attrs in found.named("svg")
    )
    assert len(list(found.named("svg"))) == 4
    assert all(attrs.get("scope") in {"row", "col"} for attrs in found.named("th"))


def test_a_change_that_nobody_sees_is_no_change() -> None:
    accuracy = next(one for one in MEASURES if one.title == "Accuracy")
    found = compare(accuracy, {"test": {"accuracy": 0.90004}}, {"test": {"accuracy": 0.9}})
    assert found.verdict == "same"


@pytest.mark.parametrize("strange", [float("nan"), None])
def test_a_figure_that_is_no_number_is_never_better(strange: float | None) -> None:
    ece = next(one for one in MEASURES if "ECE" in one.title)
    assert compare(ece, {"test": {"ece": strange}}, {"test": {"ece": 0.03}}).verdict != "better"


def test_the_matrix_counts_every_query_once() -> None:
    matrix = confusion_matrix(CARD.candidate.metrics["test"])
    assert [[cell.examples for cell in one.cells] for one in matrix.rows] == [
        [9, 1, 0], [0, 9, 1], [1, 0, 9],
    ]  # fmt: skip
    assert [(one.examples, one.elsewhere) for one in matrix.rows] == [(10, 0)] * 3
    # 45 at most: nine of ten right have 0.9 of it, a mistake among ten has three tenths of it.
    assert [cell.tint for cell in matrix.rows[0].cells] == [40, 14, 0]


def test_of_many_intents_those_with_the_most_mistakes_are_shown() -> None:
    labels = tuple(f"intent_{n}" for n in range(MOST_IN_MATRIX + 20))
    matrix = confusion_matrix(metrics_of(labels, wrong=2)["test"])
    assert (len(matrix.columns), matrix.left_out) == (MOST_IN_MATRIX, 20)
    for one in matrix.rows:
        assert sum(cell.examples for cell in one.cells) + one.elsewhere == one.examples


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.03), (-1.0, 1.0), (0.0, 0.0)])
def test_an_interval_of_any_width_stays_on_the_page(low: float, high: float) -> None:
    chart = interval_chart(Significance(50, (low + high) / 2, low, high, 1, 2, 0.5))
    assert all(bar.x >= 0 and bar.x + bar.width <= chart.width for bar in chart.bars)
    assert 3 <= len(chart.x_ticks) <= 17
