"""A cluster's timeline as one SVG: nodes and replicas over time, and what happened when."""

from collections.abc import Callable
from html import escape
from itertools import groupby, pairwise
from typing import Final

from benchmarks.timeline import HEAD, Moment, Timeline

WIDTH: Final = 860
LEFT: Final = 150
ROW: Final = 44
TOP: Final = 76
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#3b4252}.t{font-size:14px;font-weight:600}"
    ".g{stroke:#d8dee9}.p{stroke:#bf616a;stroke-dasharray:3 3}.pt{fill:#bf616a;font-size:11px}"
    ".a{fill:#5e81ac}.b{fill:#a3be8c}.c{fill:#d08770}.d{fill:#b48ead}"
)


def picture(timeline: Timeline) -> str:
    """Return the SVG: a row a count, as high as the count, in the colour of the place."""
    moments = timeline.moments
    end_s = max((one.at_s for one in moments), default=1.0)
    places = (HEAD, *timeline.names)
    rows: list[tuple[str, str, Callable[[Moment], int]]] = [
        ("nodes", "b", lambda one: len(one.nodes))
    ]
    for name in sorted({name for one in moments for name, _ in one.replicas}):
        for place, kind in zip(places, "acbd", strict=True):
            counted = _counter(name, place)
            if any(counted(one) for one in moments):
                rows.append((f"{name} on {place}", kind, counted))
    height = TOP + ROW * len(rows) + 30

    def x(at_s: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 12) * at_s / end_s, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="Nodes and replicas over {end_s:.0f} seconds"><style>{_STYLE}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        '<text class="t" x="12" y="20">Nodes and running replicas over time (seconds)</text>'
    ]
    for number, (label, kind, counted) in enumerate(rows):
        floor = TOP + ROW * (number + 1) - 8
        most = max(3, *(counted(one) for one in moments))
        parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - 12}" y1="{floor}" y2="{floor}"/>')
        parts.append(f'<text x="12" y="{floor - 4}">{escape(label)}</text>')
        for begin_s, until_s, count in _runs(moments, counted):
            tall = round((ROW - 14) * count / most, 1)
            begin, width = x(begin_s), round(x(until_s) - x(begin_s), 1)
            parts.append(
                f'<rect class="{kind}" x="{begin}" y="{floor - tall}" width="{width}"'
                f' height="{tall}"/><text x="{begin}" y="{floor - tall - 2}">{count}</text>'
            )
    for number, (at_s, what) in enumerate(timeline.phases):
        y = 36 + 12 * (number % 3)
        side, anchor = (-3, "end") if at_s > 0.8 * end_s else (3, "start")
        parts.append(
            f'<line class="p" x1="{x(at_s)}" x2="{x(at_s)}" y1="{y + 2}" y2="{height - 22}"/>'
        )
        parts.append(
            f'<text class="pt" x="{x(at_s) + side}" y="{y}" text-anchor="{anchor}">'
            f"{escape(what)}</text>"
        )
    parts += [
        f'<text x="{x(at_s)}" y="{height - 6}" text-anchor="middle">{at_s}</text>'
        for at_s in range(0, int(end_s) + 1, 20)
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _counter(deployment: str, place: str) -> Callable[[Moment], int]:
    return lambda one: one.replicas.get((deployment, place), 0)


def _runs(
    moments: list[Moment], counted: Callable[[Moment], int]
) -> list[tuple[float, float, int]]:
    """Return from when to when (seconds) a count stayed the same, and it; nothing of none."""
    found: list[tuple[float, float, int]] = []
    for count, group in groupby(pairwise(moments), key=lambda pair: counted(pair[0])):
        pairs = list(group)
        if count:
            found.append((pairs[0][0].at_s, pairs[-1][1].at_s, count))
    return found
