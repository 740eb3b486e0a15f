"""CLINC150's bars: what reaches them, and what does not."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.clinc150_tables import PUBLISHED, Judgement, bar_table, bars, comparison_table
from training.scores import IntentScore, Scores

SCORES = Scores(
    examples=4_500,
    accuracy=0.96,
    macro_f1=0.96,
    ece=0.02,
    out_of_scope_recall=0.6,
    out_of_scope_auroc=0.965,
    out_of_scope_recall_in_scope_kept=0.75,
    out_of_scope_flagged=0.8,
    in_scope_confused=0.05,
    intents={},
    confusions=(),
    reliability=(),
)
JUST = Judgement(inside=SCORES, everything=SCORES, kept=SCORES)


def test_what_just_reaches_every_bar_passes() -> None:
    fp32 = replace(JUST, inside=replace(SCORES, accuracy=0.9630))
    assert [bar.name for bar in bars(JUST, fp32) if not bar.holds] == []


@pytest.mark.parametrize(
    ("int8", "missed"),
    [
        (replace(JUST, inside=replace(SCORES, accuracy=0.9598)), "in-scope accuracy"),
        (replace(JUST, inside=replace(SCORES, ece=0.0201)), "ECE"),
        (replace(JUST, kept=replace(SCORES, out_of_scope_auroc=0.9649)), "AUROC"),
        (replace(JUST, kept=replace(SCORES, out_of_scope_recall_in_scope_kept=0.749)), "at 95 %"),
        # below 95 % without any rejection
        (replace(JUST, kept=replace(SCORES, out_of_scope_recall_in_scope_kept=None)), "at 95 %"),
    ],
)
def test_what_falls_short_of_a_bar_is_named(int8: Judgement, missed: str) -> None:
    (bar,) = [bar for bar in bars(int8, JUST) if not bar.holds]
    assert missed in bar.name


def test_int8_may_lose_three_tenths_of_a_point() -> None:
    fp32 = replace(JUST, inside=replace(SCORES, accuracy=0.9631))
    assert [bar.name for bar in bars(JUST, fp32) if not bar.holds] == ["points below fp32"]


def test_without_rejection_every_query_in_scope_counts() -> None:
    intents = {
        "banking": IntentScore(precision=1, recall=1, f1=1, examples=2_000, right=2_000),
        "dining": IntentScore(precision=1, recall=0.94, f1=1, examples=2_500, right=2_350),
        "out_of_scope": IntentScore(precision=0, recall=0, f1=0, examples=1_000, right=0),
    }
    judged = replace(JUST, kept=replace(SCORES, examples=5_500, intents=intents))
    assert judged.within == 4_350 / 4_500


def test_the_published_rows_stand_below_this_runs() -> None:
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        console.print(comparison_table(JUST, JUST), bar_table(bars(JUST, JUST)))
    printed = capture.get()
    assert all(row.name in printed and row.source in printed for row in PUBLISHED)
    assert printed.index("this run") < printed.index("Larson")
    assert "MISSED" not in printed
