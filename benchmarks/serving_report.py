"""What the serving benchmark says: one table, and how the graph stands to what is wanted of it."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.load import LoadReport

GRAPH, PEER, PEER_OF_TWO = "graph", "monolith x1", "monolith x2"
SERVERS = (GRAPH, PEER, PEER_OF_TWO)

BUSY = 32
"""Clients at which throughput is compared."""

CALM_BELOW_CORES = 0.15
"""A machine on which others keep more busy favours whichever server has more processes."""

WANTED_THROUGHPUT = 1.15
WANTED_P50 = 2.0
WANTED_P95_MS = 200.0
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one server in one round, and what the server took for it."""

    server: str
    round: int
    report: LoadReport
    cpu_ms_per_query: dict[str, float]
    pss_bytes: dict[str, int]
    foreign_cores: float

    @property
    def is_disturbed(self) -> bool:
        return self.foreign_cores > CALM_BELOW_CORES


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians over the rounds of one load on one server."""

    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failed: int

    @classmethod
    def of(cls, reports: Sequence[LoadReport]) -> "Figures":
        return cls(
            statistics.median(report.requests_per_s for report in reports),
            statistics.median(report.p50_ms for report in reports),
            statistics.median(report.p95_ms for report in reports),
            statistics.median(report.p99_ms for report in reports),
            sum(report.degraded + sum(report.errors.values()) for report in reports),
        )


Figured = dict[tuple[str, int, str], Figures]
"""By mix, clients and server."""


def figure(measured: Sequence[Measured]) -> Figured:
    """Bring the rounds together."""
    reports: dict[tuple[str, int, str], list[LoadReport]] = {}
    for one in measured:
        reports.setdefault((one.report.mix, one.report.clients, one.server), []).append(one.report)
    order = sorted(reports, key=lambda key: (key[0], key[1], SERVERS.index(key[2])))
    return {key: Figures.of(reports[key]) for key in order}


def table_of(figured: Figured, *, title: str) -> Table:
    """Return the one table."""
    table = Table(title=title, title_justify="left")
    table.add_column("questions")
    for heading in ("clients", "server", "req/s", "p50 ms", "p95 ms", "p99 ms", "req/s ÷", "p50 ÷"):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    table.add_column("failed", justify="right")
    last = None
    for (mix, clients, server), figures in figured.items():
        if last not in {None, (mix, clients)}:
            table.add_section()
        peer = figured[mix, clients, PEER]
        table.add_row(
            *((mix, str(clients)) if last != (mix, clients) else ("", "")),
            server,
            f"{figures.requests_per_s:.0f}",
            *(f"{value:.1f}" for value in (figures.p50_ms, figures.p95_ms, figures.p99_ms)),
            f"{figures.requests_per_s / peer.requests_per_s:.2f}",
            f"{figures.p50_ms / peer.p50_ms:.2f}",
            str(figures.failed),
        )
        last = (mix, clients)
    table.caption = f"÷: divided by {PEER}'s of the same load. failed: errors and partial answers."
    return table


def remarks(figured: Figured, measured: Sequence[Measured]) -> Iterator[str]:
    """Say how the graph stands to what is wanted of it, and what each server took."""
    busy, busy_peer = figured["unique", BUSY, GRAPH], figured["unique", BUSY, PEER]
    ratio = busy.requests_per_s / busy_peer.requests_per_s
    yield _verdict(
        f"requests/s at {BUSY} clients, unique: {ratio:.2f} x {PEER}",
        is_met=ratio >= WANTED_THROUGHPUT,
        wanted=f"at least {WANTED_THROUGHPUT} x",
    )
    calm = figured["unique", 1, GRAPH].p50_ms / figured["unique", 1, PEER].p50_ms
    yield _verdict(
        f"p50 at 1 client, unique: {calm:.2f} x {PEER}",
        is_met=calm <= WANTED_P50,
        wanted=f"at most {WANTED_P50:g} x",
    )
    if ("unique", 16, GRAPH) in figured:
        p95_ms = figured["unique", 16, GRAPH].p95_ms
        yield _verdict(
            f"p95 at 16 clients, unique: {p95_ms:.0f} ms",
            is_met=p95_ms < WANTED_P95_MS,
            wanted=f"under {WANTED_P95_MS:g} ms",
        )
    for server in SERVERS:
        of_server = [
            one
            for one in measured
            if (one.server, one.report.clients, one.report.mix) == (server, BUSY, "unique")
        ]
        cpu_ms = _medians([one.cpu_ms_per_query for one in of_server])
        yield f"CPU a query at {BUSY} clients, {server}: {_listed(cpu_ms, 'ms', digits=2)}"
        pss = {name: held / _MEBIBYTE for name, held in of_server[-1].pss_bytes.items()}
        yield f"PSS after it, {server}: {_listed(pss, 'MiB', digits=0)}"
    busiest = max(one.foreign_cores for one in measured)
    if any(one.is_disturbed for one in measured):
        yield (
            f"[yellow]Other programs kept up to {busiest:.1f} CPUs busy meanwhile: this favours the"
            " server with more processes. Measure again on a calm machine.[/]"
        )
    own_ms = statistics.median(one.report.client_cpu_ms for one in measured)
    yield f"The load client itself took {own_ms:.2f} ms of CPU an answer."


def _verdict(what: str, *, is_met: bool, wanted: str) -> str:
    mark = "[green]met[/]" if is_met else "[red]not met[/]"
    return f"{mark}  {what} (wanted: {wanted})"


def _medians(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for one in found for name in one}
    return {name: statistics.median(one.get(name, 0.0) for one in found) for name in names}


def _listed(values: Mapping[str, float], unit: str, *, digits: int) -> str:
    """Name the total and its parts, the largest first; what rounds to nothing is not named."""
    parts = sorted(values.items(), key=lambda entry: -entry[1])
    shown = [f"{name} {value:.{digits}f}" for name, value in parts if round(value, digits) > 0]
    return f"{sum(values.values()):.{digits}f} {unit} = {' + '.join(shown)}"
