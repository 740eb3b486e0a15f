"""What was asked and how it went: `python -m scripts.report [--since 7d] [--html FILE]`.

Prints the figures and writes them as one HTML page with plots, which fetches nothing. Real and
simulated traffic are kept apart. Exit status: 0 it is written, 1 it is not.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.errors import HubError
from contracts.settings import Settings
from pages.page import render, write_page
from scripts.report_charts import charts
from store.database import connect
from store.report import Figures, Report, SourceReport, read_report
from store.running import running_database

TITLES = {"real": "Real traffic", "simulated": "Simulated traffic"}
NOTES = {"real": "", "simulated": "Of scripts/simulate_traffic.py and of load tests; no people."}
NO_CLASSIFIER = "no classifier answered"
PRINTED = 10

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_since(text: str, *, now: datetime) -> datetime:
    """Return the moment that `7d`, `36h`, `2w` or a date (YYYY-MM-DD, UTC) means.

    Raises ValueError for anything else, and for what is not in the past.
    """
    if match := re.fullmatch(r"(\d{1,4})([hdw])", text):
        since = now - int(match[1]) * _UNITS[match[2]]
    else:
        since = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    if since >= now:
        raise ValueError(f"{text} is not in the past")
    return since


def page(report: Report, *, made_at: datetime) -> str:
    """Return the report as one HTML page. Every text is escaped; nothing is fetched."""
    return render(
        Path(__file__).with_name("report.html"),
        since=f"{report.since:%d %b %Y %H:%M}",
        until=f"{report.until:%d %b %Y %H:%M}",
        made_at=f"{made_at:%Y-%m-%d %H:%M} UTC",
        step=report.step,
        sections=[
            {
                "title": TITLES[source],
                "note": NOTES[source],
                "report": one,
                "charts": charts(report, one.moments),
            }
            for source, one in report.sources.items()
        ],
    )


def write_report(url: str, *, since: datetime, until: datetime, file: Path) -> Report:
    """Count what was asked in [since, until) and write the page; return the figures.

    Raises DatabaseUnavailable, psycopg.Error, OSError.
    """
    with connect(url, vectors=False) as connection:
        report = read_report(connection, since=since, until=until)
    write_page(file, page(report, made_at=until))
    return report


def show(report: Report, *, console: Console) -> None:
    """Print the figures, real and simulated apart."""
    for source, one in report.sources.items():
        console.rule(TITLES[source], align="left")
        if not one.total.queries:
            console.print("Nothing was asked in this time.\n")
            continue
        console.print(_figures([("all", one.total)], first=""))
        console.print(_figures(one.model_versions.items(), first="model version"))
        console.print(_figures(one.intents.items(), first="intent"))
        console.print(_unanswered(one))


def _figures(rows: Iterable[tuple[str | None, Figures]], *, first: str) -> Table:
    table = Table(first, show_edge=False)
    for title in ("questions", "sessions", "not answered", "low confidence", "thumbs up", "down"):
        table.add_column(title, justify="right")
    for name, one in rows:
        table.add_row(
            Text(NO_CLASSIFIER if name is None else name),
            f"{one.queries:,}",
            f"{one.sessions:,}",
            _share(one.confusion_rate),
            _share(one.low_confidence_share),
            str(one.thumbs_up),
            str(one.thumbs_down),
        )
    return table


def _unanswered(report: SourceReport) -> Table:
    table = Table("most asked, not answered", show_edge=False)
    for title in ("sessions", "times"):
        table.add_column(title, justify="right")
    table.add_column("likeliest intent")
    for one in report.unanswered[:PRINTED]:
        text = Text(_printable(one.text))
        table.add_row(text, str(one.sessions), str(one.queries), Text(one.intent or "-"))
    return table


def _printable(text: str) -> str:
    """Return a text that a terminal shows, and never obeys."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def main(given: Sequence[str] | None = None) -> int:
    """Count, print, write the page, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--since", default="7d", help="7d, 36h, 2w or YYYY-MM-DD (default: %(default)s)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="default: HUB_HOME/report.html")
    arguments = parser.parse_args(given)
    # A file or a pipe has no width; a terminal says its own.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    now = datetime.now(UTC)
    try:
        since = parse_since(arguments.since, now=now)
    except ValueError as error:
        parser.error(f"--since: {error}")
    try:
        settings = Settings()
        file = arguments.html or settings.home_dir / "report.html"
        with running_database(settings) as url, console.status("counting"):
            report = write_report(url, since=since, until=now, file=file)
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"{error}\nNo report was written.", markup=False)
        return 1
    show(report, console=console)
    console.print(f"\nAs a page with plots: {file}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
