"""Charts of the report as plain numbers: where each bar, line and word stands in an SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from pages.chart import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Bar, Chart, Line, Tick
from store.report import Figures, Report

_LABELS: Final = 8


def volume_chart(moments: Mapping[datetime, Figures], *, step: str) -> Chart:
    """Return stacked bars: answered below, not answered on top."""
    top = _round_up(max((one.queries for one in moments.values()), default=0))
    bars = []
    for x, width, moment, one in _columns(moments):
        said = f"{_name(moment, step=step)}: {one.queries} asked, {one.confused} not answered"
        answered, confused = _height(one.queries - one.confused, top), _height(one.confused, top)
        floor = HEIGHT - BOTTOM
        bars.append(Bar(x, floor - answered, width, answered, "answered", said))
        bars.append(Bar(x, floor - answered - confused, width, confused, "confused", said))
    return Chart(
        title=f"Questions by the {step}",
        said=f"Questions by the {step}",
        legend=(("answered", "answered"), ("confused", "not answered")),
        bars=tuple(bar for bar in bars if bar.height > 0),
        x_ticks=_x_ticks(moments, step=step),
        y_ticks=tuple(Tick(_y(value, top), f"{value:,}") for value in _steps(top)),
    )


def doubt_chart(moments: Mapping[datetime, Figures], *, step: str) -> Chart:
    """Return the confusion rate and the share of low confidence over time."""
    return Chart(
        title=f"Doubt by the {step}",
        said=f"Doubt by the {step}",
        legend=(("confused", "not answered"), ("low", "confidence below 0.60")),
        lines=(
            _line(moments, "not answered", "confused", lambda one: one.confusion_rate, step=step),
            _line(
                moments, "confidence below 0.60", "low", lambda one: one.low_confidence_share,
                step=step,
            ),
        ),
        x_ticks=_x_ticks(moments, step=step),
        y_ticks=tuple(Tick(_y(share, 1), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)),
    )  # fmt: skip


def thumbs_chart(moments: Mapping[datetime, Figures], *, step: str) -> Chart:
    """Return bars: thumbs up above the axis, thumbs down below it."""
    top = _round_up(
        max((max(one.thumbs_up, one.thumbs_down) for one in moments.values()), default=0)
    )
    middle, scale = (HEIGHT - BOTTOM + TOP) / 2, (HEIGHT - BOTTOM - TOP) / 2 / top
    bars = []
    for x, width, moment, one in _columns(moments):
        said = f"{_name(moment, step=step)}: {one.thumbs_up} up, {one.thumbs_down} down"
        up, down = one.thumbs_up * scale, one.thumbs_down * scale
        bars.append(Bar(x, middle - up, width, up, "up", said))
        bars.append(Bar(x, middle, width, down, "down", said))
    return Chart(
        title=f"Thumbs by the {step}",
        said=f"Thumbs by the {step}",
        legend=(("up", "up"), ("down", "down")),
        bars=tuple(bar for bar in bars if bar.height > 0),
        x_ticks=_x_ticks(moments, step=step),
        y_ticks=tuple(Tick(middle - value * scale, f"{abs(value):,}") for value in (-top, 0, top)),
    )


def charts(report: Report, moments: Mapping[datetime, Figures]) -> tuple[Chart, ...]:
    """Return one source's charts."""
    return tuple(
        draw(moments, step=report.step) for draw in (volume_chart, doubt_chart, thumbs_chart)
    )


def _columns(moments: Mapping[datetime, Figures]) -> list[tuple[float, float, datetime, Figures]]:
    pitch = (WIDTH - LEFT) / max(1, len(moments))
    width = min(pitch * 0.8, 60.0)
    return [
        (round(LEFT + (place + 0.5) * pitch - width / 2, 2), round(width, 2), moment, one)
        for place, (moment, one) in enumerate(moments.items())
    ]


def _line(
    moments: Mapping[datetime, Figures],
    name: str,
    kind: str,
    share_of: Callable[[Figures], float | None],
    *,
    step: str,
) -> Line:
    runs: list[list[str]] = [[]]
    dots = []
    for x, width, moment, one in _columns(moments):
        share = share_of(one)
        if share is None:
            runs.append([])
            continue
        middle, y = round(x + width / 2, 2), _y(share, 1)
        runs[-1].append(f"{middle},{y}")
        dots.append((middle, y, f"{_name(moment, step=step)}: {share:.0%} {name}"))
    return Line(name, kind, tuple(" ".join(run) for run in runs if len(run) > 1), tuple(dots))


def _x_ticks(moments: Mapping[datetime, Figures], *, step: str) -> tuple[Tick, ...]:
    columns = _columns(moments)
    every = max(1, math.ceil(len(columns) / _LABELS))
    return tuple(
        Tick(round(x + width / 2, 2), f"{moment:%H:%M}" if step == "hour" else f"{moment:%d %b}")
        for x, width, moment, _ in columns[::every]
    )


def _name(moment: datetime, *, step: str) -> str:
    return f"{moment:%d %b %H:%M}" if step == "hour" else f"{moment:%d %b %Y}"


def _height(value: float, top: float) -> float:
    return round(value / top * (HEIGHT - TOP - BOTTOM), 2)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - _height(value, top), 2)


def _round_up(value: int) -> int:
    """Return the next of 4, 8, 20, 40, 80, 200, ...: four steps of whole numbers."""
    scale = 1
    while True:
        for mantissa in (4, 8, 20):
            if value <= mantissa * scale:
                return mantissa * scale
        scale *= 10


def _steps(top: int) -> Sequence[int]:
    return range(0, top + 1, top // 4)
