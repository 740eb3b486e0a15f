"""Ask the seeded questions: `python scripts/check_rag_health.py`.

Each must bring results, and its expected node among the first five, straight from the database
with the encoder that HUB_EMBEDDER names. What the classifier thinks plays no part, unless
--with-intents asks for the champion's preference, as in the service. Prints a table. Exit status:
0 all passed, 1 a question missed or the check could not run.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.errors import ArtifactError, DatabaseUnavailable, DataError, HubError
from contracts.records import Search
from contracts.settings import DATA, Settings
from contracts.text import normalise
from models.classifier import IntentClassifier
from models.text_encoder import TextEncoder
from scripts.embedding import encoder_of
from store.artifacts import open_store
from store.database import CONNECT_TIMEOUT_S, open_pool
from store.embedded import database_url
from store.registry import SERVED_FILES, Registry
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch

FIRST = 5


class HealthQuery(BaseModel):
    """A question, and the one node that answers it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    intent: str
    expected_node: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a question brought: node ids, best first."""

    query: HealthQuery
    predicted: str | None
    found: tuple[str, ...]

    @property
    def place(self) -> int | None:
        """The expected node's place from 1, or None when it is not there."""
        expected = self.query.expected_node
        return self.found.index(expected) + 1 if expected in self.found else None

    @property
    def passed(self) -> bool:
        return self.place is not None


def read_health_queries(file: Path) -> list[HealthQuery]:
    """Read a JSON array of questions. Raises DataError when it is none, or empty."""
    try:
        queries = TypeAdapter(list[HealthQuery]).validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise DataError(f"{file} is no array of health queries: {error}") from error
    if not queries:
        raise DataError(f"{file} holds no question.")
    return queries


async def check_rag_health(
    queries: Sequence[HealthQuery],
    *,
    database_url: str,
    encoder: TextEncoder,
    classifier: IntentClassifier | None,
) -> list[Checked]:
    """Search for each question as the service would, and say where its node came.

    Raises psycopg.Error, PoolTimeout or HubError when the database is away or not ready.
    """
    texts = [query.text for query in queries]
    vectors = encoder.encode([normalise(text) for text in texts], task="query")
    predictions = classifier.predict(texts) if classifier else [None] * len(texts)
    searches = [
        Search(
            text=text,
            vector=vector,
            space=encoder.space.fingerprint,
            intent=prediction.intent if prediction else None,
            confidence=prediction.confidence if prediction else 0.0,
            top_k=FIRST,
        )
        for text, vector, prediction in zip(texts, vectors, predictions, strict=True)
    ]
    pool = open_pool(database_url, size=1, options=SERVER_OPTIONS)
    try:
        await pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)
        found = await KnowledgeSearch(pool).search(searches)
    finally:
        await pool.close()
    return [
        Checked(query, search.intent, tuple(node.id for node in nodes))
        for query, search, nodes in zip(queries, searches, found, strict=True)
    ]


def champion_of(settings: Settings) -> IntentClassifier:
    """Return the classifier that serves. Raises ArtifactError when this hub has made none yet."""
    registry = Registry(open_store(settings.artifacts_root))
    champion = registry.champion()
    if champion is None:
        raise ArtifactError(f"{settings.artifacts_root} has no champion; `make run` makes one.")
    folder = registry.fetch(champion.version, cache_dir=settings.cache_dir, only=SERVED_FILES)
    return IntentClassifier(folder, threads=2)


def show(
    checked: Sequence[Checked], *, console: Console, took_s: float, with_intents: bool
) -> None:
    """Print the table and its sum."""
    table = Table(show_edge=False)
    table.add_column("")
    table.add_column("question", no_wrap=True, max_width=64)
    table.add_column("expected node", no_wrap=True)
    table.add_column("place", justify="right")
    table.add_column("results", justify="right")
    if with_intents:
        table.add_column("predicted intent", no_wrap=True)
    for check in checked:
        table.add_row(
            "[green]ok[/]" if check.passed else "[red]MISS[/]",
            Text(check.query.text),
            check.query.expected_node,
            str(check.place or "-"),
            str(len(check.found)),
            *([check.predicted] if with_intents else []),
        )
    console.print(table)
    for check in checked:
        if not check.passed:
            console.print(
                f"MISS {check.query.text!r}: {check.query.expected_node} is not among"
                f" {', '.join(check.found) or 'no results'}",
                markup=False,
            )
    passed = sum(check.passed for check in checked)
    first = sum(check.place == 1 for check in checked)
    console.print(
        f"{passed} of {len(checked)} questions ({passed / len(checked):.1%}) have their node among"
        f" the first {FIRST}, {first} ({first / len(checked):.1%}) at the first place;"
        f" {'with' if with_intents else 'without'} predicted intents; {took_s:.1f} s."
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen, wherever the database is (contrib/django_hub has its own)."""
    parser.add_argument("--queries", type=Path, default=DATA / "health_queries.json")
    parser.add_argument(
        "--encoder", type=Path, metavar="DIR", help="default: the one that HUB_EMBEDDER names"
    )
    parser.add_argument(
        "--with-intents", action="store_true", help="prefer the intent that the champion predicts"
    )


def main(given: Sequence[str] | None = None) -> int:
    """Check, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--database-url", help="default: HUB_DATABASE_URL, or the running hub's")
    add_options(parser)
    return check(parser.parse_args(given))


def check(arguments: argparse.Namespace) -> int:
    """Check as the arguments of `main` say, print the table, and return the exit status."""
    since_s = time.monotonic()
    # A file or a pipe has no width; a terminal says its own.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        settings = Settings()
        url = arguments.database_url or database_url(settings)
        queries = read_health_queries(arguments.queries)
        encoder = encoder_of(settings, arguments.encoder)
        classifier = champion_of(settings) if arguments.with_intents else None
        checking = check_rag_health(
            queries, database_url=url, encoder=encoder, classifier=classifier
        )
        with console.status(f"asking {len(queries)} questions"):
            checked = asyncio.run(checking)
    except FileNotFoundError as error:
        console.print(
            f"No encoder: {error}. `make run` makes one, or name it with --encoder.", markup=False
        )
        return 1
    except (psycopg.Error, PoolTimeout) as error:
        console.print(
            f"{DatabaseUnavailable(f'{error}'.strip())} Start `make run`, or set HUB_DATABASE_URL;"
            " then load the knowledge with scripts/migrate_vectors.py.",
            markup=False,
        )
        return 1
    except HubError as error:
        console.print(str(error), markup=False)
        return 1
    took_s = time.monotonic() - since_s
    show(checked, console=console, took_s=took_s, with_intents=classifier is not None)
    return 0 if all(check.passed for check in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
