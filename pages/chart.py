"""A plot as plain numbers: where each bar, line and word stands in an SVG."""

from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 200
LEFT: Final = 44
TOP: Final = 10
BOTTOM: Final = 26
Legend = tuple[tuple[str, str], ...]
"""The class and the name of each kind of mark."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in SVG units; `kind` is its class, `title` what a resting pointer is told."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, broken where there is nothing to show."""

    name: str
    kind: str
    runs: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A word on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot: what the template draws, without a number to compute.

    `left` and `bottom` are the room for the words of the axes; `said` is the plot in words, for
    who cannot see it.
    """

    title: str
    said: str
    legend: Legend = ()
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    x_name: str = ""
    y_name: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = BOTTOM
    top: int = TOP
