"""Let simulated students ask a running hub: `python -m scripts.simulate_traffic [--sessions 200]`.

They ask over HTTP as people do (see scripts/students.py), so that the whole loop can be seen
turning. Every session is marked as simulated in the database before its first question: what it
asks is never taken for real traffic. Exit status: 0 they were served, 1 they were not.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from contracts.errors import HubError
from contracts.settings import Settings
from scripts.simulation import Tally, simulate
from scripts.students import Crowd
from store.database import Connection, connect
from store.embedded import database_url
from store.identity import issue_session
from store.simulated import mark_simulated
from training.examples import QUERIES_FILE, read_examples, read_labels


def make_sessions(connection: Connection, count: int, *, secret: bytes) -> list[str]:
    """Return the tokens of new sessions, which the database knows as simulated from now on."""
    made = [issue_session(secret=secret) for _ in range(count)]
    mark_simulated(connection, [session_id for session_id, _ in made])
    return [token for _, token in made]


def show(tally: Tally, *, console: Console, sessions: int, took_s: float) -> None:
    """Print what happened."""
    answered = sum(tally.outcomes.values())
    table = Table(title="simulated traffic", show_header=False, show_edge=False)
    table.add_column()
    table.add_column(justify="right")
    rows: list[tuple[str, str]] = [
        ("sessions, all marked as simulated", f"{sessions:,}"),
        ("answers", f"{answered:,} ({answered / took_s:.1f} a second)"),
        *((f"  {name}", share(count, of=answered)) for name, count in tally.outcomes.most_common()),
        ("hung up before the answer", str(tally.hung_up)),
        ("  meant to, and the answer was faster", str(tally.too_fast)),
        ("the intent was the one meant", share(tally.right, of=answered)),
        *((f"thumbs {name}", str(count)) for name, count in sorted(tally.thumbs.items())),
        ("  of these by mistake", str(tally.slipped)),
        *((f"refused with {name}", str(count)) for name, count in tally.refusals.items()),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)


def share(count: int, *, of: int) -> str:
    """Return a count and its share, as people read it."""
    return f"{count:,} ({count / of:.0%})" if of else f"{count:,}"


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--url", help="default: the hub on HUB_HTTP_PORT of this machine")
    parser.add_argument("--sessions", type=_positive(int), default=200, help="default: 200")
    parser.add_argument(
        "--rate", type=_positive(float), default=20.0, help="questions a second (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, another crowd")
    return parser.parse_args(given)


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def read(text: str) -> int | float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return read


def main(given: Sequence[str] | None = None) -> int:
    """Simulate, show how far it is, print the summary, and return the exit status."""
    arguments, console = _arguments(given), Console(highlight=False)
    since_s = time.monotonic()
    try:
        settings = Settings()
        url = arguments.url or f"http://127.0.0.1:{settings.http_port}"
        crowd = Crowd(read_examples(QUERIES_FILE, labels=read_labels()), seed=arguments.seed)
        with connect(database_url(settings), vectors=False) as connection:
            tokens = make_sessions(connection, arguments.sessions, secret=settings.require_secret())
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
            *(TimeRemainingColumn(), TextColumn("{task.fields[said]}")),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("sessions", total=len(tokens), said="")

            def advance(tally: Tally) -> None:
                said = f"{sum(tally.outcomes.values())} answers"
                progress.update(task, advance=1, said=said)

            tally = asyncio.run(
                simulate(
                    url,
                    tokens=tokens,
                    crowd=crowd,
                    rate=arguments.rate,
                    seed=arguments.seed,
                    advance=advance,
                )
            )
    except KeyboardInterrupt:
        console.print("stopped; what was asked before is stored, as simulated.")
        return 1
    except (HubError, psycopg.Error) as error:
        console.print(str(error), markup=False)
        return 1
    show(tally, console=console, sessions=len(tokens), took_s=time.monotonic() - since_s)
    return 0 if tally.outcomes else 1


if __name__ == "__main__":
    sys.exit(main())
