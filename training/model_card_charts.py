"""The plots of a model card: calibration, confusions, what a comparison can tell, the training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pages.chart import Bar, Chart, Line, Tick
from training.gate import MOST_POINTS_LOST
from training.significance import Significance

MOST_IN_MATRIX: Final = 40
"""With more intents than a page is wide, only those with the most mistakes are shown."""

_LEAST_TINT: Final = 9
_MOST_TINT: Final = 45
_SQUARE: Final = 420
_LEFT: Final = 54
_BOTTOM: Final = 44
_FIFTHS: Final = (0, 0.2, 0.4, 0.6, 0.8, 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """How many queries of a row's intent were given a column's.

    `tint`, in percent, is its colour: the share of the row, a mistake's three times as strong, and
    never so much that the number on it cannot be read.
    """

    examples: int
    tint: int
    is_right: bool
    said: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One intent's queries: all of them, those given an intent that is not shown, and the rest."""

    intent: str
    examples: int
    elsewhere: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Who is taken for whom, among `columns`; `left_out` intents are not shown."""

    columns: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    left_out: int

    @property
    def has_elsewhere(self) -> bool:
        return any(row.elsewhere for row in self.rows)


def confusion_matrix(test: Mapping[str, Any]) -> Matrix:
    """Return the matrix of a version's `metrics["test"]`; rows are what queries are."""
    intents = test["intents"]
    pairs = {(one["intent"], one["given"]): one["examples"] for one in test["confusions"]}
    mistakes: Counter[str] = Counter()
    for (true, given), examples in pairs.items():
        mistakes[true] += examples
        mistakes[given] += examples
    shown = list(intents)
    if len(shown) > MOST_IN_MATRIX:
        worst = {name for name, _ in mistakes.most_common(MOST_IN_MATRIX)}
        shown = [name for name in shown if name in worst]
    rows = []
    for true in shown:
        total = intents[true]["examples"]
        counts = [intents[true]["right"] if g == true else pairs.get((true, g), 0) for g in shown]
        rows.append(
            MatrixRow(
                intent=true,
                examples=total,
                elsewhere=total - sum(counts),
                cells=tuple(
                    _cell(true, given, examples=examples, total=total)
                    for given, examples in zip(shown, counts, strict=True)
                ),
            )
        )
    return Matrix(tuple(shown), tuple(rows), left_out=len(intents) - len(shown))


def reliability_chart(
    candidate: Sequence[Mapping[str, Any]], *, champion: Sequence[Mapping[str, Any]] = ()
) -> Chart:
    """Return accuracy over confidence, bin by bin, with the diagonal that it should keep to."""
    lines = [Line("as sure as right", "ideal", (_points([(0, 0), (1, 1)]),))]
    legend = [("ideal", "as sure as right"), ("answered", "candidate")]
    if champion:
        lines.append(_reliability_line("champion", "low", champion))
        legend.append(("low", "champion"))
    lines.append(_reliability_line("candidate", "answered", candidate))
    worst = max(candidate, key=lambda one: abs(one["confidence"] - one["accuracy"]))
    return Chart(
        title="Reliability",
        said=(
            f"Accuracy over confidence in {len(candidate)} bins of equal mass. Farthest from the"
            f" diagonal: confidence {worst['confidence']:.2f}, right {worst['accuracy']:.0%}."
        ),
        legend=tuple(legend),
        bars=tuple(
            Bar(
                x=_x(one["confidence"]) - 1.5,
                y=min(_y(one["confidence"]), _y(one["accuracy"])),
                width=3,
                height=abs(_y(one["confidence"]) - _y(one["accuracy"])),
                kind="gap",
                title=_said(one),
            )
            for one in candidate
        ),
        lines=tuple(lines),
        x_ticks=tuple(Tick(_x(at), f"{at:.1f}") for at in _FIFTHS),
        y_ticks=tuple(Tick(_y(at), f"{at:.1f}") for at in _FIFTHS),
        x_name="confidence", y_name="accuracy",
        width=_SQUARE, height=_SQUARE, left=_LEFT, bottom=_BOTTOM,
    )  # fmt: skip


def curve_charts(epochs: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """Return the losses and the validation accuracy, epoch by epoch."""
    losses = [one[side] for one in epochs for side in ("train_loss", "validation_loss")]
    accuracies = [one["validation_accuracy"] for one in epochs]
    return (
        _curves(
            "Loss", epochs, top=max(losses) * 1.05, decimals=2,
            lines=(
                ("low", "training", "train_loss"), ("answered", "validation", "validation_loss"),
            ),
        ),
        _curves(
            "Validation accuracy", epochs, top=1, bottom=min(0.1 * int(min(accuracies) * 10), 0.9),
            decimals=2, lines=(("answered", "validation", "validation_accuracy"),),
        ),
    )  # fmt: skip


def interval_chart(significance: Significance) -> Chart:
    """Return the difference in accuracy with its interval, beside nought and the gate's limit."""
    low, middle, high = (
        100 * share for share in (significance.low, significance.difference, significance.high)
    )
    reach = max(abs(low), abs(high), MOST_POINTS_LOST + 1.0) * 1.1
    width, height, top = 720, 90, 14

    def x(points: float) -> float:
        return round(20 + (points + reach) / (2 * reach) * (width - 40), 2)

    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if reach / step <= 8)
    at = [step * n for n in range(-int(reach // step), int(reach // step) + 1)]
    said = f"{middle:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
    return Chart(
        title="Candidate minus champion, in points of accuracy",
        said=f"Candidate minus champion: {said}.",
        legend=(("answered", "difference and 95 % interval"), ("ideal", "no difference"),
                ("limit", f"the gate’s limit, −{MOST_POINTS_LOST}")),
        bars=(Bar(x(low), 34, max(x(high) - x(low), 1), 12, "interval", said),),
        lines=(
            Line("no difference", "ideal", (f"{x(0)},{top} {x(0)},66",)),
            Line("limit", "limit", (f"{x(-MOST_POINTS_LOST)},{top} {x(-MOST_POINTS_LOST)},66",)),
            Line("difference", "answered", (), ((x(middle), 40, said),)),
        ),
        x_ticks=tuple(Tick(x(n), f"{n:+d}".replace("-", "−") if n else "0") for n in at),
        width=width, height=height, left=0, bottom=24, top=top,
    )  # fmt: skip


def _cell(true: str, given: str, *, examples: int, total: int) -> Cell:
    share = examples / total if total else 0
    strength = share if true == given else min(1, 3 * share)
    return Cell(
        examples=examples,
        tint=max(_LEAST_TINT, round(_MOST_TINT * strength)) if examples else 0,
        is_right=true == given,
        said=f"{examples} of {total} {true} given {given}",
    )


def _reliability_line(name: str, kind: str, bins: Sequence[Mapping[str, Any]]) -> Line:
    at = [(one["confidence"], one["accuracy"]) for one in bins]
    dots = tuple((_x(one["confidence"]), _y(one["accuracy"]), _said(one)) for one in bins)
    return Line(name, kind, (_points(at),), dots)


def _said(one: Mapping[str, Any]) -> str:
    return (
        f"confidence {one['low']:.2f} to {one['high']:.2f}: {one['examples']} queries,"
        f" {one['accuracy']:.0%} right"
    )


def _curves(
    title: str,
    epochs: Sequence[Mapping[str, Any]],
    *,
    top: float,
    decimals: int,
    lines: Sequence[tuple[str, str, str]],
    bottom: float = 0.0,
) -> Chart:
    width, height, left, below, above = 340, 220, 40, 40, 10
    pitch = (width - left - 30) / max(1, len(epochs) - 1)

    def x(place: int) -> float:
        return round(left + 15 + place * pitch, 2)

    def y(value: float) -> float:
        rise = (value - bottom) / (top - bottom) if top > bottom else 0
        return round(height - below - rise * (height - below - above), 2)

    drawn = []
    for kind, name, key in lines:
        dots = tuple(
            (x(n), y(one[key]), f"epoch {one['number']}: {name} {one[key]:.{decimals + 1}f}")
            for n, one in enumerate(epochs)
        )
        drawn.append(Line(name, kind, (" ".join(f"{at},{up}" for at, up, _ in dots),), dots))
    every = max(1, -(-len(epochs) // 10))
    marks = [bottom + (top - bottom) * n / 4 for n in range(5)]
    return Chart(
        title=title,
        said=f"{title} by epoch: {'; '.join(dot[2] for line in drawn for dot in line.dots)}.",
        legend=tuple((kind, name) for kind, name, _ in lines) if len(lines) > 1 else (),
        lines=tuple(drawn),
        x_ticks=tuple(Tick(x(n), str(epochs[n]["number"])) for n in range(0, len(epochs), every)),
        y_ticks=tuple(Tick(y(value), f"{value:.{decimals}f}") for value in marks),
        x_name="epoch",
        width=width, height=height, left=left, bottom=below, top=above,
    )  # fmt: skip


def _points(at: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_x(across)},{_y(up)}" for across, up in at)


def _x(value: float) -> float:
    return round(_LEFT + 8 + value * (_SQUARE - _LEFT - 16), 2)


def _y(value: float) -> float:
    return round(_SQUARE - _BOTTOM - value * (_SQUARE - _BOTTOM - 10), 2)
