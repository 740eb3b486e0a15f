"""CLINC150's bars and tables: what was found, what must be, and what others have published."""

from dataclasses import dataclass
from typing import Final

from rich.table import Table

from training.scores import Scores


@dataclass(frozen=True, slots=True)
class Judgement:
    """The test side's scores of one artifact.

    `inside` and `everything` judge the top intent as it is served, on the queries in scope and on
    all of them; `kept` judges the best in-scope intent, the confidence in `out_of_scope` being the
    score by which a query is rejected.
    """

    inside: Scores
    everything: Scores
    kept: Scores

    @property
    def within(self) -> float:
        """In-scope accuracy when no query is taken for out of scope."""
        return sum(one.right for one in self.kept.intents.values()) / self.inside.examples


@dataclass(frozen=True, slots=True)
class Published:
    """A row of somebody else's table: percentages, except for calibration error and AUROC."""

    name: str
    source: str
    accuracy: float
    recall: float | None = None
    ece: float | None = None
    auroc: float | None = None


_LARSON: Final = "Larson et al. 2019, table 2"
_BASELINES: Final = "google/uncertainty-baselines"
PUBLISHED: Final = (
    Published("BERT, out of scope as a class", _LARSON, 96.9, recall=40.3),
    Published("BERT, by threshold", _LARSON, 96.2, recall=52.3),
    Published("MLP, by threshold", _LARSON, 93.4, recall=49.1),
    Published("Rasa, by threshold", _LARSON, 90.9, recall=31.2),
    Published("Dialogflow, by threshold", _LARSON, 90.8, recall=26.7),
    Published("BERT-base", _BASELINES, 96.5, ece=0.022, auroc=0.942),
    Published("BERT-base with SNGP", _BASELINES, 96.9, ece=0.010, auroc=0.969),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached: `found` is at least `bar`, or at most."""

    name: str
    found: float
    bar: float
    at_least: bool = True
    form: str = "{:.3f}"

    @property
    def holds(self) -> bool:
        return self.found >= self.bar if self.at_least else self.found <= self.bar


def bars(int8: Judgement, fp32: Judgement) -> tuple[Bar, ...]:
    """Return every bar; what could not be measured is worth nothing."""
    served, full, kept = int8.inside.accuracy, fp32.inside.accuracy, int8.kept
    recall = kept.out_of_scope_recall_in_scope_kept or 0.0
    return (
        Bar("in-scope accuracy as served, %", served * 100, 96.0, form="{:.2f}"),
        # Rounded, because 96.3 - 96.0 is a little more than 0.3 in binary.
        Bar("points below fp32", round((full - served) * 100, 6), 0.3, at_least=False),
        Bar("out-of-scope recall at 95 % in scope, %", recall * 100, 75.0, form="{:.1f}"),
        Bar("out-of-scope AUROC", kept.out_of_scope_auroc or 0.0, 0.965),
        Bar("ECE in scope", int8.inside.ece, 0.02, at_least=False),
    )


def bar_table(found: tuple[Bar, ...]) -> Table:
    """Return the bars as a table: what, found, bar, verdict."""
    table = Table("int8, test side", "found", "bar", "", show_edge=False)
    for bar in found:
        sense = "at least" if bar.at_least else "at most"
        verdict = "holds" if bar.holds else "MISSED"
        table.add_row(bar.name, bar.form.format(bar.found), f"{sense} {bar.bar:g}", verdict)
    return table


def comparison_table(int8: Judgement, fp32: Judgement) -> Table:
    """Return this model's rows above the published ones."""
    table = Table(
        "", "in-scope accuracy", "out-of-scope recall", "ECE", "AUROC", "source", show_edge=False
    )
    for name, one in (("int8", int8), ("fp32", fp32)):
        auroc = _figure(one.kept.out_of_scope_auroc, 3)
        recall, kept = (
            one.everything.out_of_scope_recall,
            one.kept.out_of_scope_recall_in_scope_kept,
        )
        table.add_row(
            f"{name}, top intent as served",
            _percent(one.inside.accuracy),
            _percent(recall),
            _figure(one.inside.ece, 3),
            auroc,
            "this run",
        )
        table.add_row(f"{name}, nothing rejected", _percent(one.within), "", "", auroc, "this run")
        table.add_row(f"{name}, rejecting to 95 %", "95.0", _percent(kept), "", auroc, "this run")
    for row in PUBLISHED:
        table.add_row(
            row.name,
            _figure(row.accuracy, 1),
            _figure(row.recall, 1),
            _figure(row.ece, 3),
            _figure(row.auroc, 3),
            row.source,
        )
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".rstrip("%")


def _figure(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
