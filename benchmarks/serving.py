"""`make bench`: the graph beside what a user would write instead, in one run and one table."""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from rich.console import Console

from benchmarks.load import Load, Mix, apply_load
from benchmarks.own_hub import own_settings
from benchmarks.servers import Server, graph, monolith
from benchmarks.serving_report import (
    BUSY,
    Measured,
    figure,
    remarks,
    table_of,
)
from benchmarks.usage import cpu_ms_per_query, foreign_cores
from contracts.errors import HubError
from contracts.settings import Settings
from scripts.prepare import prepare_knowledge, prepare_models, prepare_schema
from scripts.run import step
from store.embedded import EmbeddedPostgres

ATTEMPTS = 3

# In a log, too, the table keeps its columns.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. In a round each load is applied to one server after the other."""

    rounds: int
    duration_s: float
    warmup_s: float
    clients: tuple[int, ...]
    mixes: tuple[Mix, ...]


FULL = Plan(2, 8.0, 2.0, (1, 8, 16, BUSY), ("unique", "zipf"))
QUICK = Plan(1, 3.0, 1.0, (1, BUSY), ("unique",))


def measure(servers: Sequence[Server], plan: Plan) -> list[Measured]:
    """Apply every load of the plan to every server, round by round.

    The servers are all up, the others at rest, and one load goes to all of them within a minute,
    in turned order: how fast a shared machine is changes from minute to minute, and must not
    decide a ratio.
    """
    questions = Counter[str]()
    for server in servers:
        # Not counted: what a server does once, such as filling its pools, is over after it.
        settling = Load(url=server.url, clients=8, duration_s=plan.warmup_s, warmup_s=0)
        with _alone(server, servers):
            questions[server.name] = apply_load(settling).asked
    measured = []
    for number in range(1, plan.rounds + 1):
        console.print(f"[bold]round {number} of {plan.rounds}[/]")
        for mix in plan.mixes:
            for clients in plan.clients:
                for server in servers if number % 2 else reversed(servers):
                    load = Load(
                        url=server.url,
                        clients=clients,
                        duration_s=plan.duration_s,
                        warmup_s=plan.warmup_s,
                        mix=mix,
                        first=questions[server.name] if mix == "unique" else number,
                    )
                    with _alone(server, servers):
                        attempts = _attempts(load, server, number=number)
                    # A question that was asked once is not unique any more.
                    questions[server.name] += sum(one.report.asked for one in attempts)
                    measured.append(min(attempts, key=lambda one: one.foreign_cores))
    return measured


@contextmanager
def _alone(server: Server, servers: Sequence[Server]) -> Iterator[None]:
    """Let the other servers rest."""
    with ExitStack() as stack:
        for other in servers:
            if other is not server:
                stack.enter_context(other.at_rest())
        yield


def _attempts(load: Load, server: Server, *, number: int) -> list[Measured]:
    """Apply a load, and again while others keep the machine busy; the calmest attempt counts."""
    attempts: list[Measured] = []
    while len(attempts) < ATTEMPTS and all(one.is_disturbed for one in attempts):
        asked = sum(one.report.asked for one in attempts) if load.mix == "unique" else 0
        attempts.append(_apply(replace(load, first=load.first + asked), server, number=number))
        console.print(f"    [dim]{_said(attempts[-1])}[/]", soft_wrap=True)
    return attempts


def _apply(load: Load, server: Server, *, number: int) -> Measured:
    before = server.usage()
    report = apply_load(load)
    after = server.usage()
    return Measured(
        server.name,
        number,
        report,
        cpu_ms_per_query(before, after, queries=report.asked),
        dict(after.pss_bytes),
        foreign_cores(before, after),
    )


def _said(one: Measured) -> str:
    report = one.report
    line = (
        f"{one.server}: {report.mix}, {report.clients} clients: {report.requests_per_s:.0f}/s,"
        f" p50 {report.p50_ms:.1f} ms, p95 {report.p95_ms:.1f} ms, p99 {report.p99_ms:.1f} ms"
    )
    if report.degraded:
        line += f", {report.degraded} without a part"
    if report.errors:
        line += f", errors {report.errors}"
    if one.is_disturbed:
        line += f"; other programs kept {one.foreign_cores:.1f} CPUs busy"
    return line


def run(plan: Plan) -> list[Measured]:
    """Bring all servers up over one database, and measure them side by side."""
    given = Settings()
    given.home_dir.mkdir(parents=True, exist_ok=True)
    prepare_models(given, step=step)
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "encoder").symlink_to(given.encoder_dir)
        postgres = None
        url = given.database_url
        if url is None:
            with step("starting Postgres"):
                postgres = stack.enter_context(EmbeddedPostgres(home))
                url = postgres.url
        settings = own_settings(home, database_url=url, artifacts=given.artifacts_root)
        prepare_schema(settings, step=step)
        prepare_knowledge(settings, step=step)
        pid = postgres.pid if postgres else None
        servers = [
            stack.enter_context(graph(settings, postgres_pid=pid, step=step)),
            stack.enter_context(monolith(settings, workers=1, postgres_pid=pid, step=step)),
            stack.enter_context(monolith(settings, workers=2, postgres_pid=pid, step=step)),
        ]
        return measure(servers, plan)


def keep(measured: list[Measured], *, plan: Plan, file: Path) -> None:
    """Write everything that was measured, round by round, as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "plan": asdict(plan),
        "measured": [asdict(one) for one in measured],
    }
    file.write_text(json.dumps(document, indent=1) + "\n")


def main() -> int:
    """Measure and print. Exit status 1 with one sentence when something does not come up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look: one round, short loads")
    parser.add_argument("--json", type=Path, help="default: HUB_HOME/benchmarks/serving.json")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    # Redis would spare the graph work that its peer has to do.
    os.environ.pop("HUB_REDIS_URL", None)
    try:
        measured = run(plan)
        figured = figure(measured)
        file = arguments.json or Settings().home_dir / "benchmarks" / "serving.json"
        keep(measured, plan=plan, file=file)
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"[red]The benchmark did not finish.[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped; what was started is stopped too, nothing is kept.")
        return 130
    title = f"{os.cpu_count()} CPUs, {plan.duration_s:g} s a load, median of {plan.rounds} round(s)"
    console.print(table_of(figured, title=title))
    for line in remarks(figured, measured):
        console.print(line, soft_wrap=True)
    console.print(f"[dim]every round: {file}[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
