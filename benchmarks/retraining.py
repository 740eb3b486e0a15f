"""Does serving notice a retraining? `python -m benchmarks.retraining`: before, and meanwhile.

A hub of its own comes up; 600 drifted queries are asked and labelled by simulated people; then the
whole chain runs as a Ray job on the cluster that serves, swap included, while four clients ask in a
loop. Takes about six minutes. Exit status 0 when no answer failed, the p95 of every span of eight
seconds stayed under 200 ms, and the new version serves.
"""

import argparse
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.drifted_queries import draw, read_drift
from benchmarks.load import Load, LoadReport, apply_load
from benchmarks.own_hub import own_settings
from benchmarks.review_desk import People, label_everything
from contracts.errors import HubError
from contracts.settings import Settings
from models.classifier import IntentClassifier
from scripts.prepare import prepare_models
from scripts.run import Hub, bring_up, step
from store.artifacts import open_store
from store.database import connect
from store.embedded import database_url
from store.registry import SERVED_FILES, Registry
from training.ray_job import submit

LABELS: Final = 600
SPAN_S: Final = 8.0
MOST_P95_MS: Final = 200.0
SECRET: Final = "a secret of this benchmark, and of nothing else"

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Served:
    """What clients saw before the retraining and during it, span by span, and how that ended."""

    before: LoadReport
    meanwhile: tuple[LoadReport, ...]
    status: int
    champion: str

    @property
    def failed(self) -> int:
        return sum(
            span.degraded + sum(span.errors.values()) for span in (self.before, *self.meanwhile)
        )


def measure(hub: Hub, *, clients: int) -> Served:
    """Ask before, retrain, and ask until that has ended."""
    url = hub.cluster.http_url
    questions = 0

    def ask() -> LoadReport:
        nonlocal questions
        report = apply_load(
            Load(url=url, clients=clients, duration_s=SPAN_S, warmup_s=0.5, first=questions)
        )
        questions += report.asked
        console.print(f"    [dim]{_said(report)}[/]")
        return report

    ask()  # pools and caches are filled
    before = ask()
    status: list[int] = []

    def retrain() -> None:
        status.append(
            submit(
                "training.retrain",
                [],
                dashboard=hub.cluster.dashboard_url,
                token=hub.cluster.token_file.read_text().strip(),
                console=console,
                env_vars={"HUB_DEMO": "true"},
            )
        )

    job = threading.Thread(target=retrain)
    job.start()
    spans = []
    while job.is_alive():
        spans.append(ask())
    job.join()
    champion = Registry(open_store(hub.settings.artifacts_root)).champion()
    return Served(before, tuple(spans), status[0], champion.version if champion else "none")


def label(hub: Hub, *, count: int) -> None:
    """Let drifted queries be asked, and people label them."""
    url = database_url(hub.settings)
    registry = Registry(open_store(hub.settings.artifacts_root))
    champion = registry.champion()
    assert champion is not None, "the hub serves it"
    folder = registry.fetch(champion.version, cache_dir=hub.settings.cache_dir, only=SERVED_FILES)
    queries = draw(read_drift("label"), count=count, seed=0)
    with connect(url, vectors=False) as connection, step(f"labelling {count} queries"):
        label_everything(
            connection,
            queries,
            database_url=url,
            classifier=IntentClassifier(folder),
            secret=SECRET.encode(),
            people=People(),
            seed=0,
        )


def show(served: Served, *, clients: int) -> int:
    """Print the table, and return the exit status."""
    table = Table("", "req/s", "p50 ms", "p95 ms", "p99 ms", "failed", title=f"{clients} clients")
    spans = served.meanwhile
    table.add_row("before", *_row(served.before))
    middle = sorted(spans, key=lambda one: one.p95_ms)[len(spans) // 2]
    table.add_row(f"meanwhile, the median of {len(spans)} spans", *_row(middle))
    worst = max(spans, key=lambda one: one.p95_ms)
    table.add_row("meanwhile, the worst span", *_row(worst))
    console.print(table)
    slow = [span for span in spans if not span.p95_ms < MOST_P95_MS]
    console.print(
        f"{served.failed} failed; {len(slow)} of {len(spans)} spans with a p95 of"
        f" {MOST_P95_MS:.0f} ms or more (median of the p95s"
        f" {statistics.median(span.p95_ms for span in spans):.0f} ms); the retraining ended with"
        f" status {served.status}, {served.champion} serves"
    )
    return 0 if not (served.failed or slow or served.status) else 1


def _row(report: LoadReport) -> list[str]:
    failed = report.degraded + sum(report.errors.values())
    figures = (report.requests_per_s, report.p50_ms, report.p95_ms, report.p99_ms)
    return [*(f"{figure:.0f}" for figure in figures), str(failed)]


def _said(report: LoadReport) -> str:
    return f"{report.requests_per_s:.0f}/s, p50 {report.p50_ms:.0f} ms, p95 {report.p95_ms:.0f} ms"


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--labels", type=int, default=LABELS)
    arguments = parser.parse_args(given)
    try:
        usual = Settings()
        prepare_models(usual, step=step)
        with tempfile.TemporaryDirectory(prefix="hub-retraining-") as folder, ExitStack() as stack:
            home = Path(folder)
            (home / "encoder").symlink_to(usual.encoder_dir)
            (home / "cache").symlink_to(usual.cache_dir)
            settings = own_settings(home, secret=SecretStr(SECRET))
            hub = bring_up(settings, stack, step=step)
            label(hub, count=arguments.labels)
            return show(measure(hub, clients=arguments.clients), clients=arguments.clients)
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"[red]The benchmark did not finish.[/] {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
